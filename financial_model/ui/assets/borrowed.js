// Gradio's own words in the language of the page. Some follow its locale, which we set; the others are English wherever it runs, which we exchange.
// In: WORDS, one [English, Chinese] pair a sentence, "{name}" where something stands inside. The language is data-language of the <html> element:
// its lang is Gradio's, which writes there the browser's own as soon as that is loaded, be it before this or after.
(WORDS => {
  const LOCALES = ["en", "zh-CN"], NAMES = ["aria-label", "title", "placeholder", "data-title"];
  const TEXTS = ".toast-body, .cell-menu, .filter-menu, .plotly-notifier";  // where Gradio's and Plotly's words are a text and not an attribute
  const page = document.documentElement, chosen = () => (page.dataset.language === "zh" ? 1 : 0);

  const whole = new Map(WORDS.flatMap(pair => pair.map(text => [text, pair])));
  const framed = WORDS.filter(([text]) => text.includes("{name}")).flatMap(pair => pair.map(text => [text.split("{name}"), pair]));
  const said = text => {
    const pair = whole.get(text);
    if (pair) return pair[chosen()];
    for (const [[before, after], frames] of framed)
      if (text.startsWith(before) && text.endsWith(after)) return frames[chosen()].replace("{name}", () => text.slice(before.length, text.length - after.length));
    return text;
  };
  const name = part => NAMES.forEach(key => {
    const old = part.getAttribute(key), now = old && said(old);
    if (now && now !== old) part.setAttribute(key, now);
  });
  const write = part => {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const old = node.data.trim(), now = said(old);
      if (now !== old) node.data = node.data.replace(old, () => now);
    }
  };
  const all = root => {
    [root, ...root.querySelectorAll(NAMES.map(key => `[${key}]`).join())].forEach(name);
    const around = root.closest(TEXTS);
    (around ? [around] : root.querySelectorAll(TEXTS)).forEach(write);
  };

  const change = () => {
    const core = performance.getEntriesByType("resource").find(entry => /\/assets\/core-[\w-]+\.js$/.test(entry.name));
    if (core) import(core.name).then(module => module.changeLocale?.(LOCALES[chosen()]));
    if (document.body) all(document.body);
  };
  const later = window.requestIdleCallback ?? (work => setTimeout(work, 500));
  const follow = () => {
    page.lang = LOCALES[chosen()];
    later(change, {timeout: 5000});  // our own words first: Gradio draws every component again for its locale
  };
  new MutationObserver(records => records.forEach(record => {
    if (record.target === page && record.type === "attributes") {
      if (record.attributeName === "data-language" || page.lang !== LOCALES[chosen()]) follow();
    } else if (record.type === "attributes") name(record.target);
    else record.addedNodes.forEach(node => {
      if (node.nodeType === Node.ELEMENT_NODE) all(node);
      else if (node.parentElement?.closest(TEXTS)) write(node.parentElement);
    });
  })).observe(page, {subtree: true, childList: true, attributes: true, attributeFilter: [...NAMES, "lang", "data-language"]});
  follow();
})
