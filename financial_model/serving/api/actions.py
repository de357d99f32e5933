"""REST of what follows a forecast: the order list for the next session, and the journal of published forecasts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, status

from financial_model.serving.api.asking import Able, Answer, Language
from financial_model.serving.api.bodies import Orders, Publish
from financial_model.text import translate
from financial_model.training.plain import plain

router = APIRouter(tags=["actions"])


@router.post("/orders")
def orders(able: Able, language: Language, asked: Orders) -> Answer:
    """What to sell and buy at the next session to hold the best of a run's ranking: lots, limits, costs, what is blocked. Nothing is placed."""
    held = [holding.model_dump() for holding in asked.holdings]
    return plain(spoken(able.orders(asked.run, held, asked.capital, asked.cash, asked.as_of, asked.rules.model_dump(exclude_none=True)), language))


@router.get("/journal")
def journal(able: Able, run: Annotated[str, Query(max_length=80)] = "") -> Answer:
    """Every published forecast, newest first, and whether the chain of hashes is whole."""
    return plain(able.journal(run))


@router.get("/journal/score")
def score(able: Able, language: Language, run: Annotated[str, Query(max_length=80)] = "") -> Answer:
    """Published forecasts against what came: hits, errors, coverage, drift, beside naive rules, with a paper portfolio."""
    return plain(spoken(able.journal_score(run), language))


@router.post("/journal", status_code=status.HTTP_201_CREATED)
def publish(able: Able, asked: Publish) -> Answer:
    """Publish a forecast of one stock, or of the whole pool without a symbol. It can never be changed."""
    return plain(able.publish(asked.run, asked.symbol, asked.as_of, asked.days))


def spoken(value: Any, language: str) -> Any:
    """Every ``{"key", "fields"}`` in nested data as its sentence."""
    if isinstance(value, dict):
        if set(value) == {"key", "fields"}:
            return translate(value["key"], language, **value["fields"])
        return {name: spoken(inner, language) for name, inner in value.items()}
    return [spoken(inner, language) for inner in value] if isinstance(value, list | tuple) else value
