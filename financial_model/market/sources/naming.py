"""Which security a file or a row is about: codes inside file names, codes that lost their zeros, indices known by their name.

In: a path, or a code and a name as written. Out: a symbol's text for ``parse_symbol``. It opens nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from financial_model.errors import DataError
from financial_model.market.symbols import index_by_name, parse_symbol

_CODE = re.compile(r"(?<![0-9A-Za-z])(?:(sh|sz|bj)[._-]?)?(\d{6})(?:[._-]?(sh|ss|sz|bj|xshg|xshe))?(?![0-9A-Za-z])", re.IGNORECASE)
_TICKER = re.compile(r"\^?[A-Za-z][A-Za-z0-9]{0,9}(?:[.-][A-Za-z]{1,2})?(?=$|[_ (])")
_WORDS = frozenset("data all stock stocks price prices daily bars test table input quote quotes train valid kline day index ohlc ohlcv chart".split())
_INDEX_ALIASES = {"SP500": "^GSPC", "GSPC": "^GSPC", "NASDAQ": "^IXIC", "IXIC": "^IXIC", "DJI": "^DJI", "DJIA": "^DJI"}


def file_symbol(path: Path) -> str:
    """The symbol in a file's name: processed_600519.xlsx, sh600519.csv, 000300.SH_5min.csv, AAPL.csv, SP500_arch.csv.

    Raises ``DataError`` when there is none.
    """
    stem = path.stem
    match = _CODE.search(stem)
    if match:
        before, code, after = match.groups()
        return str(parse_symbol(f"{code}.{before or after}" if before or after else code))
    ticker = _TICKER.match(stem)
    if ticker and (ticker[0] == ticker[0].upper() or _is_ticker(ticker[0], stem)):
        return str(parse_symbol(_INDEX_ALIASES.get(ticker[0].upper(), ticker[0])))
    raise DataError("import.no_symbol", file=path.name)


def _is_ticker(text: str, stem: str) -> bool:
    """Small letters are a ticker when they are the whole name and short; a file called data or prices is not about a stock of that name."""
    return text == stem and len(text.partition(".")[0]) <= 5 and text.lower() not in _WORDS


def row_symbol(written: str, name: str = "", *, strict: bool = True) -> str:
    """The symbol of a code in a column; digits that lost their zeros get them back, an index is known by its name.

    ``strict=False`` gives back what was written when it is no code, for the caller to refuse.
    """
    code = written.strip().strip("'\"").lstrip("=").strip("\"'")
    if code.isdigit() and len(code) < 6:
        code = code.zfill(6)
    index = index_by_name(code, name) if code.isdigit() and name else None
    if index is not None:
        return str(index)
    try:
        return str(parse_symbol(code))
    except DataError:
        if strict:
            raise
        return written
