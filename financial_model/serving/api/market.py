"""REST of what is stored: health, symbols, bars, the universe, and what this installation can do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from financial_model.serving import inventory
from financial_model.serving.abilities import BARS, MOST, PAGE
from financial_model.serving.api.asking import Able, Answer, Day, Language

router = APIRouter(tags=["market"])
Symbol = Annotated[str, Query(max_length=80)]


@router.get("/health")
def health(able: Able) -> Answer:
    """Version, what the store holds, and how much work is under way."""
    return able.health()


@router.get("/symbols")
def symbols(able: Able, query: Annotated[str, Query(max_length=80, description="code, name or pinyin initials")] = "",
            limit: Annotated[int, Query(ge=1, le=MOST)] = PAGE, offset: Annotated[int, Query(ge=0, le=10**9)] = 0) -> Answer:
    """Stored stocks in order of their code, or those the query could mean, best first; page by page."""
    return able.list_symbols(query, limit, offset)


@router.get("/symbols/{symbol}/bars")
def bars(able: Able, symbol: str, start: Day = "", end: Day = "", limit: Annotated[int, Query(ge=1, le=BARS)] = 500) -> Answer:
    """The last bars of a stock between two dates: raw prices, volume in shares, backward factor."""
    return able.bars(symbol, start, end, limit)


@router.get("/universe")
def universe(able: Able, language: Language, full: bool = False) -> Answer:
    """Counts by industry, style and regime, today's regime, warnings. When the look takes long, the job that is taking it: ask again."""
    return able.analyze_universe(full, language)


@router.get("/models")
def models() -> Answer:
    """Every backbone with its shape and number of parameters, presets, objectives."""
    return inventory.models()


@router.get("/settings")
def settings(language: Language) -> list[Answer]:
    """Every setting of a run: kind, default, range, choices, and what it means."""
    return inventory.options(language)


@router.get("/features")
def features() -> Answer:
    """Every feature with its group and a line of explanation."""
    return inventory.features()
