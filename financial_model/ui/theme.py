"""The look: our own colours and type on Gradio's variables, for light and dark. Everything else of it is in ``assets/kairos.css``.

In: nothing. Out: a theme, and the few lines of script the page needs before its first paint. No font or script comes from outside.
"""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

from financial_model.text import LANGUAGES, translate

ASSETS = Path(__file__).with_name("assets")
FONTS = ["Inter", "system-ui", "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "sans-serif"]
MONO = ["ui-monospace", "Cascadia Mono", "Menlo", "Consolas", "Noto Sans Mono CJK SC", "monospace"]

INDIGO = colors.Color(
    name="kairos",
    c50="#f2f4ff",
    c100="#e4e8fe",
    c200="#cad2fc",
    c300="#a6b3f8",
    c400="#7d8df0",
    c500="#5a6ce2",
    c600="#4c5fd7",
    c700="#3d4cb3",
    c800="#323e8d",
    c900="#2a3470",
    c950="#191f45",
)
SLATE = colors.Color(
    name="kairos-slate",
    c50="#f6f7f9",
    c100="#eef0f4",
    c200="#e1e5eb",
    c300="#cbd1db",
    c400="#9aa3b2",
    c500="#596273",
    c600="#4b5463",
    c700="#3b4352",
    c800="#262c39",
    c900="#181c26",
    c950="#10131a",
)
_BOTH: dict[str, tuple[str, str]] = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "block_background_fill": ("white", "*neutral_900"),
    "body_text_color": ("#1c2230", "#e6e9f0"),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "border_color_primary": ("*neutral_200", "*neutral_800"),
    "block_title_text_color": ("*neutral_700", "*neutral_300"),
    "block_label_text_color": ("*neutral_600", "*neutral_300"),
    "block_info_text_color": ("*neutral_500", "*neutral_400"),
    "input_background_fill": ("white", "*neutral_950"),
    "input_border_color": ("*neutral_300", "*neutral_700"),
    "input_border_color_focus": ("*primary_500", "*primary_400"),
    "input_border_width": ("1px", "1px"),
    "block_border_width": ("1px", "1px"),
    "button_primary_background_fill": ("*primary_600", "*primary_600"),
    "button_primary_background_fill_hover": ("*primary_700", "*primary_700"),
    "button_primary_text_color": ("white", "white"),
    "button_secondary_background_fill": ("white", "*neutral_800"),
    "button_secondary_background_fill_hover": ("*neutral_100", "*neutral_700"),
    "button_secondary_border_color": ("*neutral_300", "*neutral_700"),
    "button_cancel_background_fill": ("white", "*neutral_800"),
    "button_cancel_background_fill_hover": ("#fdf1f2", "#3a2329"),
    "button_cancel_border_color": ("#e7b9bd", "#6b3a41"),
    "button_cancel_text_color": ("#b8323d", "#f0858c"),
    "button_border_width": ("1px", "1px"),
    "table_even_background_fill": ("white", "*neutral_900"),
    "table_odd_background_fill": ("*neutral_50", "*neutral_950"),
}
"""Theme variable -> its value in light and in dark."""
_SAME: dict[str, str] = {
    "block_shadow": "none",
    "block_radius": "12px",
    "block_title_text_weight": "560",
    "block_title_text_size": "*text_sm",
    "block_info_text_size": "*text_xs",
    "input_text_size": "*text_sm",
    "button_large_text_size": "*text_md",
    "button_large_text_weight": "580",
}

DEEP_LINK = """(() => {
  const button = name => document.getElementById(`tab-${name}-button`) || document.getElementById(`inference-${name}-button`);
  const open = (names, tries) => {
    const found = names.length && button(names[0]);
    if (found) { found.click(); open(names.slice(1), 50); }
    else if (names.length && tries) setTimeout(() => open(names, tries - 1), 100);
  };
  document.addEventListener("click", event => {
    const [, kind, name] = event.target.closest("button[role=tab]")?.id.match(/^(tab|inference)-(\\w+)-button$/) || [];
    if (name) history.replaceState(null, "", kind === "tab" ? `#${name}` : `#inference/${name}`);
  });
  open(location.hash.slice(1).split("/").filter(name => /^\\w+$/.test(name)).slice(0, 2), 100);
})();"""
"""The open tab stands in the address (``#runs``, ``#inference/pool``): a reload or a saved link comes back to it."""
QUIET_STATUS = """(() => {
  const entries = Object.entries;
  const ofEvent = status => status !== null && typeof status === "object" && "fn_index" in status && "show_progress" in status;
  Object.entries = given => {
    const found = entries(given);
    return found.some(entry => ofEvent(entry[1])) ? found.filter(entry => entry[1].show_progress !== "hidden") : found;
  };
})();"""
"""With each event, at its beginning and its end, Gradio tells every component that ever was in one how that one stands: behind two training forms 200
components. It looks for each from the top of the page, 40 ms in all. Of events that show no progress nobody has to be told."""
SLIDER_KEYS = """document.addEventListener("keyup", event => {
  if (event.target.matches("input[type=range]")) event.target.dispatchEvent(new PointerEvent("pointerup", {bubbles: true}));
});"""
"""A slider that is moved by keys tells Gradio that it was let go, as one that is moved by a pointer does."""
LANGUAGE_HINT = "kairos-language"
"""Plain local-storage key beside Gradio's encrypted one: the script before the first paint cannot decrypt."""


def theme() -> gr.themes.Base:
    base = gr.themes.Base(primary_hue=INDIGO, secondary_hue=INDIGO, neutral_hue=SLATE, radius_size=sizes.radius_lg, font=FONTS, font_mono=MONO)
    return base.set(**{name: light for name, (light, _) in _BOTH.items()}, **{f"{name}_dark": dark for name, (_, dark) in _BOTH.items()}, **_SAME)


def logo() -> str:
    return (ASSETS / "kairos.svg").read_text("utf-8")


def head(built: str, forced: str | None) -> str:
    """Script before the first paint: the chosen colour scheme, and no flash of the wrong language.

    The page is built in language ``built``. Where the visitor will get another one, the content stays invisible until its words have arrived
    (or for two seconds at most).
    """
    return f"""<script>(() => {{
  const built = {json.dumps(built)}, forced = {json.dumps(forced)}, spoken = ["en", "zh"];
  const wanted = [localStorage.getItem({json.dumps(LANGUAGE_HINT)}), forced, ...navigator.languages.map(tag => tag.toLowerCase().split("-")[0]), "en"]
    .find(tag => spoken.includes(tag));
  document.documentElement.dataset.language = document.documentElement.lang = wanted;
  if (wanted !== built) {{
    document.documentElement.classList.add("k-wait");
    setTimeout(() => document.documentElement.classList.remove("k-wait"), 2000);
  }}
  const scheme = localStorage.getItem("kairos-scheme"), url = new URL(location.href);
  if (scheme && url.searchParams.get("__theme") !== scheme) {{
    url.searchParams.set("__theme", scheme);
    history.replaceState(null, "", url);
  }}
}})();
{QUIET_STATUS}
{SLIDER_KEYS}
{DEEP_LINK}</script>"""


def sentences() -> str:
    """Style that says in the language of the page what Gradio says in English or in the browser's language: what an upload asks for, and the titles
    of toasts, whose own title the page leaves out when an action fails."""
    said = (("[data-testid=upload-text]::after", "ui.drop", ""), (".toast-title.error::before", "ui.error.title", " font-size: 14px;"),
            (".toast-title.info::before", "ui.toast", " font-size: 14px;"))
    found = [f"html:lang({language}) {place} {{ content: {json.dumps(translate(key, language), ensure_ascii=False)};{size} }}"
             for place, key, size in said for language in LANGUAGES]
    hidden = [f"html:lang({language}) .toast-title.{kind} {{ font-size: 0 !important; }}" for language in LANGUAGES for kind in ("error", "info")]
    return "\n".join(found + hidden)


READY = "() => { document.documentElement.classList.remove('k-wait'); }"
KEEP_SCHEME = """() => {
  const scheme = localStorage.getItem('kairos-scheme');
  if (scheme) document.body.classList.toggle('dark', scheme === 'dark');
}"""
"""What was chosen wins over what the system prefers, which Gradio applies when it draws the page."""
TOGGLE_SCHEME = """() => {
  const dark = document.body.classList.toggle('dark');
  localStorage.setItem('kairos-scheme', dark ? 'dark' : 'light');
}"""
REMEMBER_LANGUAGE = f"""(preferences) => {{
  localStorage.setItem('{LANGUAGE_HINT}', preferences.language || '');
  if (preferences.language) document.documentElement.dataset.language = preferences.language;
}}"""
