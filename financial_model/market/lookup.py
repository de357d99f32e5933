"""Which stored stock somebody means.

In: a store and what was typed. Out: a symbol it holds.
"""

from __future__ import annotations

from financial_model.errors import DataError, NotFoundError
from financial_model.market.store import Store
from financial_model.market.symbols import parse_symbol, search


def stored_symbol(store: Store, text: str) -> str:
    """The stored symbol meant by a code in any writing, a name, or pinyin initials. ``NotFoundError`` when there is none."""
    try:
        code = str(parse_symbol(text))
    except DataError:
        code = ""
    if code and store.has(code):
        return code
    table = store.symbols("all")
    matches = search(text, dict(zip(table["symbol"], table["name"].fillna(""), strict=True)), limit=1)
    if not matches:
        raise NotFoundError("serving.unknown_symbol", symbol=text[:40])
    return matches[0]
