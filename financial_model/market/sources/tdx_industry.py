"""Research-industry codes of ``tdxhy.cfg`` to the eleven industries. Today's classification, not point in time."""

from __future__ import annotations

from financial_model.errors import SourceError

_EXACT = {"X1201": "consumer", "X2301": "materials", "X2302": "materials", "X2505": "industrial", "X4102": "telecom", "X6006": "industrial"}
_BY_GROUP = {
    "energy": ("X10", "X11"),
    "materials": ("X12", "X13", "X14", "X15"),
    "consumer": ("X20", "X21", "X22", "X23", "X24", "X25", "X26", "X60"),
    "healthcare": ("X27",),
    "industrial": ("X30", "X31", "X32", "X52", "X61", "X63"),
    "technology": ("X40", "X41", "X42"),
    "telecom": ("X43",),
    "finance": ("X50", "X51"),
    "real_estate": ("X53",),
    "utilities": ("X62",),
}
_GROUPS = {prefix: industry for industry, prefixes in _BY_GROUP.items() for prefix in prefixes}
UNKNOWN_LIMIT = 0.05


def industry_of(code: str) -> str:
    """The industry of an X-code; ``other`` where it is unknown."""
    return _EXACT.get(code[:5]) or _GROUPS.get(code[:3], "other")


def parse_industries(content: bytes) -> dict[tuple[int, str], str]:
    """(market, code) -> industry from ``market|code|T-code|||X-code`` lines; lines without a code are left out.

    Raises ``SourceError`` when more than 5 % of the shares end up in ``other`` although the file has a code for them: then the codes have changed.
    """
    found: dict[tuple[int, str], str] = {}
    strange = 0
    for line in content.decode("gbk", errors="replace").splitlines():
        parts = line.split("|")
        if len(parts) < 6 or not parts[0].isdigit() or not parts[5].startswith("X"):
            continue
        industry = industry_of(parts[5])
        strange += industry == "other" and not parts[5].startswith("X99")
        found[int(parts[0]), parts[1]] = industry
    if found and strange / len(found) > UNKNOWN_LIMIT:
        raise SourceError("tdx.industry_unknown_share", share=f"{strange / len(found):.0%}")
    return found
