"""The abilities as functions with plain arguments: tools for a language model (MCP), and named endpoints for gradio_client.

In: :class:`Abilities` and a language. Out: typed, documented functions, and an MCP server that offers them. It draws nothing and keeps no state.
The docstrings here are read by a model that decides which tool to call: they say what comes back and in which units.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, validate_call

from financial_model import __version__
from financial_model.errors import KairosError
from financial_model.serving import faults
from financial_model.serving.abilities import Abilities
from financial_model.serving.failures import error_id
from financial_model.text import translate

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

logger = logging.getLogger(__name__)

Answer = dict[str, Any]
NAME = "kairos"
INSTRUCTIONS = (
    "Kairos forecasts stocks with models trained on its own stored bars. Ask list_runs for a trained model and list_symbols for what is stored, "
    "then predict or rank. Forecasts are statistics with wide ranges, not advice: tell the range and the notes, not only the median. Where a note "
    "says the market is synthetic, say so. A training takes minutes: start_training answers at once, job_status tells how far it is."
)
READ_ONLY = frozenset({"list_symbols", "list_runs", "analyze_universe", "predict", "rank", "job_status", "show_study"})

Run = Annotated[str, Field(max_length=80, description="id or name of a trained run; empty: the newest one that can forecast")]
Symbol = Annotated[str, Field(max_length=80, description="code in any writing (600519, sh600519, 600519.SH, AAPL), name, or pinyin initials")]
Date = Annotated[str, Field(max_length=10, description="YYYY-MM-DD; empty: the newest bar")]
Job = Annotated[str, Field(max_length=80, description="id of a job, or of a run")]


def functions(able: Abilities, language: str = "en") -> list[Callable[..., Answer]]:
    """The tools over ``able``; sentences in ``language``. They raise ``KairosError``."""

    def list_symbols(query: Annotated[str, Field(max_length=80, description="code, name or pinyin initials; empty: all")] = "",
                     limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> Answer:
        """Stocks whose bars are stored: symbol, name, board, industry, first and last date. `total` counts them all."""
        return able.list_symbols(query, limit)

    def list_runs() -> Answer:
        """Trained models, newest first: id, state, settings, test metrics beside naive baselines, checkpoints."""
        return {"runs": [able.run(run, language) for run in able.runs.list()[:50]]}

    def analyze_universe() -> Answer:
        """The stored market today: stocks by industry, size, value, volatility, momentum; market regime; warnings about the data."""
        return able.analyze_universe(language=language)

    def predict(symbol: Symbol, run: Run = "", as_of: Date = "", days: Annotated[int, Field(ge=0, le=30, description="0: all it can")] = 0) -> Answer:
        """Forecast one stock: per day ahead the median price, quantiles of the log return and of the price, chance of a rise; up, flat and down
        probabilities; later truth where it is known; `notes` that must be told with it."""
        return able.predict(run or able.newest_run(), symbol, as_of, days, language=language)

    def rank(run: Run = "", top: Annotated[int, Field(ge=1, le=500)] = 20, as_of: Date = "",
             industry: Annotated[str, Field(max_length=40, description="finance, consumer, technology, ...; empty: all")] = "") -> Answer:
        """The stocks with the highest expected log return over the model's horizon: expected_return, p_up, 80 % range, industry, tradable flags."""
        return able.rank(run or able.newest_run(), top, as_of, None, industry, language=language)

    def start_training(name: Annotated[str, Field(max_length=40)] = "assistant",
                       preset: Annotated[str, Field(description="quick, standard, thorough")] = "quick",
                       settings: Annotated[dict[str, Any] | None, Field(description="by name, over the preset, as in `train`")] = None) -> Answer:
        """Queue a training and return at once with its job and run id. Ask job_status how far it is."""
        return able.start_training({"name": name, **(settings or {})}, preset, language)

    def start_comparison(runs: Annotated[list[str], Field(max_length=50, description="tested runs, by id or name")] = [],  # noqa: B006
                         models: Annotated[list[str], Field(max_length=20, description="backbones to train beside them")] = [],  # noqa: B006
                         rank_by: Annotated[str, Field(max_length=40)] = "rank_ic",
                         settings: Annotated[dict[str, Any] | None, Field(description="of the models that are trained, by name")] = None) -> Answer:
        """Queue a comparison of at least two runs or models on the same test dates. Returns its job; `study` of it is what show_study takes."""
        return able.job_status(able.studies.rival(models, runs, rank_by, settings), language)

    def start_sweep(space: Annotated[list[str], Field(max_length=20, description="learning_rate=1e-4..3e-3, hidden=32,64")],
                    count: Annotated[int, Field(ge=1, le=500, description="trials")] = 20,
                    by: Annotated[str, Field(max_length=40, description="validation figure: loss, rank_ic, ...")] = "loss",
                    settings: Annotated[dict[str, Any] | None, Field(description="what all trials share, by name")] = None) -> Answer:
        """Queue a search over settings; the best trial's test is opened once at its end. Returns its job; `study` of it is what show_study takes."""
        return able.job_status(able.studies.search(space, count, by, values=settings), language)

    def show_study(name: Annotated[str, Field(max_length=80, description="id of a comparison or a sweep; empty: the list of both")] = "") -> Answer:
        """A comparison (runs and models ranked beside the baselines) or a sweep (trials, best first) with its `table`, or what there is."""
        if not name:
            return {"comparisons": able.studies.comparisons(), "sweeps": able.studies.searches()}
        return able.studies.either(name, language)

    def job_status(job: Job) -> Answer:
        """How far a job is: state, stage, done of total, seconds left, why it failed; for a training its test metrics once it is finished."""
        return able.job_status(job, language)

    def stop_job(job: Job) -> Answer:
        """Stop a job. What a training has learnt is kept, and it can be resumed."""
        return able.stop_job(job, language)

    return [list_symbols, list_runs, analyze_universe, predict, rank, start_training, start_comparison, start_sweep, show_study, job_status,
            stop_job]


def telling(function: Callable[..., Answer], able: Abilities, language: str, failure: Callable[[str], Exception]) -> Callable[..., Answer]:
    """``function`` with its arguments checked; its errors become ``failure(sentence)``, an unexpected one is logged and told by its number."""

    checked = validate_call(function)  # gradio passes on whatever it was sent

    @functools.wraps(function)
    def told(*values: Any, **named: Any) -> Answer:
        try:
            return checked(*values, **named)
        except ValidationError as error:
            raise failure(translate("api.invalid", language, details=faults.told(error.errors(), language))) from error
        except KairosError as error:
            raise failure(able.told(error.message(language))) from error
        except Exception as error:
            number = error_id(error)
            logger.exception("an unexpected error in %s (error %s)", function.__name__, number)
            raise failure(translate("api.unexpected", language, id=number)) from error

    return told


def server(able: Abilities, language: str = "en") -> MCPServer:
    """An MCP server over the tools, for any transport."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations

    root = logging.getLogger()
    if not root.handlers:  # else the library gives the whole process a logger of its own
        root.addHandler(logging.NullHandler())
    logging.getLogger("mcp").setLevel(logging.WARNING)
    made: MCPServer = MCPServer(NAME, title="Kairos", instructions=INSTRUCTIONS, version=__version__)
    for function in functions(able, language):
        name = function.__name__
        hints = ToolAnnotations(read_only_hint=name in READ_ONLY, destructive_hint=False, open_world_hint=False)
        about = " ".join((function.__doc__ or "").split())
        made.add_tool(telling(function, able, language, ToolError), name=name, description=about, annotations=hints)
    return made

