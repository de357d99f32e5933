"""REST under ``/api/v1``: the abilities of Kairos for programs, with a reference page and an OpenAPI description.

In: :class:`Abilities`. Out: a FastAPI application to mount beside the page. Routes only translate between HTTP and abilities; who may come in is
decided before (``access.py``).
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from financial_model import __version__
from financial_model.serving.abilities import Abilities
from financial_model.serving.api import failures, reference

PREFIX = "/api/v1"


def build(abilities: Abilities, open_session: Callable[[], str] | None = None) -> FastAPI:
    """The application. ``open_session`` makes a token for whoever is logged in; without it there is no login here."""
    # not before: their bodies name the choices there are, and a user's own backbones and sources are among them only once his files were read
    from financial_model.serving.api import actions, forecasts, market, runs, session, studies, uploads, work

    app = FastAPI(
        title="Kairos",
        version=__version__,
        description="Stock forecasts with ranges, beside naive baselines. Forecasts are statistics, not advice.",
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.abilities = abilities
    app.state.open_session = open_session
    for module in (market, uploads, runs, work, studies, forecasts, actions, session):
        app.include_router(module.router)
    reference.install(app)
    failures.install(app)
    return app
