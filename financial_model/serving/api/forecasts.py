"""REST of forecasts: one stock, or the whole pool."""

from __future__ import annotations

from fastapi import APIRouter

from financial_model.serving.api.asking import Able, Answer, Language
from financial_model.serving.api.bodies import Predict, Rank

router = APIRouter(tags=["forecasts"])


@router.post("/predict")
def predict(able: Able, language: Language, asked: Predict) -> Answer:
    """The days ahead of one stock: median, ranges, chance of a rise, up / flat / down, the truth where it is known, and warnings."""
    return able.predict(**asked.model_dump(), language=language)


@router.post("/rank")
def rank(able: Able, language: Language, asked: Rank) -> Answer:
    """The stock pool of a run, best expected return first."""
    return able.rank(**{**asked.model_dump(), "industry": asked.industry or ""}, language=language)
