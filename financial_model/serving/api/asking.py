"""What routes are given: the abilities behind them, and the language of whoever asks.

In: a request. Out: annotated parameters for routes. It knows no route.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request

from financial_model.serving.abilities import Abilities
from financial_model.text import spoken


def _abilities(request: Request) -> Abilities:
    return request.app.state.abilities


def language_of(accept: str) -> str:
    return spoken(accept) or "en"


def _language(accept_language: Annotated[str, Header(description="zh or en: the language of sentences", max_length=200)] = "") -> str:
    return language_of(accept_language)


Able = Annotated[Abilities, Depends(_abilities)]
Language = Annotated[str, Depends(_language)]
RunName = Annotated[str, Path(description="id of a run, or its name: then the newest of that name", max_length=80)]
JobId = Annotated[str, Path(description="id of a job", max_length=80)]
Day = Annotated[str, Query(description="YYYY-MM-DD", max_length=10)]
Answer = dict[str, Any]
