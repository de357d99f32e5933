"""What may be sent: the settings of a run, made from ``config.fields()``, and one body for each kind of job.

In: the configuration's fields and the registered sources. Out: pydantic models that refuse what they do not know. No field takes a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from financial_model import config
from financial_model.evaluation.comparison import RANKABLE
from financial_model.market.sources import base
from financial_model.serving.search import DEFAULT_TRIALS
from financial_model.serving.sweep import BY, MOST_TRIALS
from financial_model.serving.watch import EVERY, SHORTEST
from financial_model.text import has, translate

MOST_ITEMS = 10_000
Text = Annotated[str, StringConstraints(max_length=400)]
Short = Annotated[str, StringConstraints(max_length=80)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _setting(entry: config.FieldSpec) -> tuple[Any, Any]:
    """(type, field) of one setting. ``config.build`` checks once more and names what is wrong in the user's language."""
    kind: Any = Literal[entry.choices] if entry.choices else Text if (entry.item or entry.kind) is str else entry.item or entry.kind
    if entry.kind is tuple:
        kind = Annotated[list[kind], Field(max_length=MOST_ITEMS)]
    about = f"form.{entry.name}.help"
    low, high = (entry.low, entry.high) if entry.kind in (int, float) else (None, None)
    default = list(entry.default) if entry.kind is tuple else entry.default
    return kind, Field(default=default, description=translate(about) if has(about) else None, ge=low, le=high)


if TYPE_CHECKING:
    Preset: TypeAlias = str
    Source: TypeAlias = str
    Industry: TypeAlias = str
    RankBy: TypeAlias = str
    SweepBy: TypeAlias = str
    Settings: TypeAlias = _Strict
else:
    Settings = create_model("Settings", __base__=_Strict, **{entry.name: _setting(entry) for entry in config.fields()})
    Preset, Source, Industry = Literal[tuple(config.PRESETS)], Literal[base.sources()], Literal[config.INDUSTRIES]
    RankBy, SweepBy = Literal[tuple(RANKABLE)], Literal[tuple(BY)]


class Train(_Strict):
    """A new run."""

    kind: Literal["train"]
    preset: Preset = "quick"
    settings: Annotated[Settings, Field(description="by name; what is left out comes from the preset")] = Field(default_factory=Settings)


class Compare(_Strict):
    """Models to train and tested runs, on the same dates in one table; with `comparison` alone one that was stopped goes on."""

    kind: Literal["compare"]
    models: Annotated[list[Short], Field(max_length=50, description="names of models, or METHOD:BASE for a fine-tune")] = []
    runs: Annotated[list[Short], Field(max_length=200, description="tested runs that stand beside them")] = []
    rank_by: RankBy = "rank_ic"
    preset: Preset = "quick"
    settings: Annotated[Settings, Field(description="of the models that are trained")] = Field(default_factory=Settings)
    comparison: Short = ""


class Sweep(_Strict):
    """A search over settings, compared on the validation part; then the test of the best is opened, once. With `sweep` alone one that was stopped
    goes on."""

    kind: Literal["sweep"]
    space: Annotated[list[Text], Field(max_length=50, description="learning_rate=1e-4..3e-3, hidden=32,64")] = []
    count: Annotated[int, Field(ge=1, le=MOST_TRIALS, description="trials")] = DEFAULT_TRIALS
    by: SweepBy = "loss"
    prune: Annotated[bool, Field(description="give up trials that are behind the others")] = True
    preset: Preset = "quick"
    settings: Annotated[Settings, Field(description="what all trials share")] = Field(default_factory=Settings)
    sweep: Short = ""


class Resume(_Strict):
    """Go on with a run that was stopped, interrupted or failed."""

    kind: Literal["resume"]
    run: Short


class Evaluate(_Strict):
    """The test of a run on the data of today."""

    kind: Literal["evaluate"]
    run: Short


class Rules(_Strict):
    """How a portfolio is run; what is left out is the usual rule."""

    top: Annotated[int, Field(ge=1, le=500)] | None = None
    drop: Annotated[int, Field(ge=0, le=500)] | None = None
    every: Annotated[int, Field(ge=1, le=250)] | None = None
    minimum_holding: Annotated[int, Field(ge=0, le=250)] | None = None
    industry_cap: Annotated[float, Field(gt=0, le=1)] | None = None
    capital: Annotated[float, Field(gt=0, le=1e12)] | None = None
    volume_share: Annotated[float, Field(gt=0, le=1)] | None = None


class Backtest(Rules):
    """A portfolio that follows the run's forecasts over its test dates; what is left out is the usual rule."""

    kind: Literal["backtest"]
    run: Short


class Download(_Strict):
    """Bars from a registered source; the last four are the demo market's."""

    kind: Literal["download"]
    source: Source
    symbols: Annotated[list[Short], Field(max_length=MOST_ITEMS)] = []
    count: Annotated[int, Field(ge=0, le=20_000, description="stocks to take when none are named; 0 is all")] | None = None
    start: Short = ""
    boards: Annotated[list[Short], Field(max_length=20)] = []
    exclude_st: bool = False
    retry: Annotated[bool, Field(description="only what failed before")] = False
    variant: Literal["linear", "null", "interaction", "sign_flip", "industry_lead_lag", "one_style", "volatility_only"] | None = None
    years: Annotated[int, Field(ge=1, le=40)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**31)] | None = None


class Watch(_Strict):
    """After each close the new bars, then the ranking of this run again, until it is stopped. One at a time for a run."""

    kind: Literal["watch"]
    run: Short
    seconds: Annotated[float, Field(ge=SHORTEST, le=86_400, description="between two looks")] = EVERY


class Analyze(_Strict):
    """A look at the universe."""

    kind: Literal["analyze"]


class Integrity(_Strict):
    """What is doubtful in stored bars."""

    kind: Literal["integrity"]
    symbols: Annotated[list[Short], Field(max_length=MOST_ITEMS)] = []


class Reading(_Strict):
    """How a table is read, where it does not say so itself."""

    volume_unit: Literal["auto", "shares", "lots"] = "auto"
    prices: Literal["auto", "raw", "adjusted"] = "auto"
    columns: Annotated[list[Short], Field(max_length=50, description="close=Schluss; volume= leaves one out")] = []


class Import(Reading):
    """Bars out of an upload into the store; its plan is shown by `POST /uploads/{upload}/plan`."""

    kind: Literal["import"]
    upload: Annotated[Short, Field(description="id of an upload")]


class Custom(_Strict):
    """A forecast of the bars in an upload; nothing of it enters the store."""

    kind: Literal["custom"]
    run: Short
    upload: Annotated[Short, Field(description="id of an upload, at most 50 MB and no ZIP")]
    symbol: Annotated[Short, Field(description="of a table that does not say which stock it is about")] = ""
    industry: Industry | None = None
    days: Annotated[int, Field(ge=0, le=config.MAX_HORIZON, description="0: all the model was trained for")] = 0


Work = Annotated[Train | Compare | Sweep | Resume | Evaluate | Backtest | Download | Import | Custom | Analyze | Integrity | Watch,
                 Field(discriminator="kind")]


class Predict(_Strict):
    """One stock."""

    run: Short
    symbol: Annotated[Short, Field(description="code, name or pinyin initials")]
    as_of: Annotated[Short, Field(description="YYYY-MM-DD; empty: the newest bar")] = ""
    days: Annotated[int, Field(ge=0, le=config.MAX_HORIZON, description="0: all the model was trained for")] = 0
    checkpoint: Annotated[Short, Field(description="best, last, final, stopped or epochN; empty: the one that forecasts")] = ""


class Rank(_Strict):
    """The stock pool."""

    run: Short
    top: Annotated[int, Field(ge=1, le=6000)] = 20
    as_of: Short = ""
    min_gain: Annotated[float, Field(ge=-1, le=10, description="least expected simple return; 0.02 is 2 %")] | None = None
    industry: Industry | None = None
    checkpoint: Short = ""


class Holding(_Strict):
    """All shares of one stock."""

    symbol: Short
    shares: Annotated[float, Field(ge=0, le=1e15)]
    cost: Annotated[float, Field(ge=0, le=1e15, description="price paid per share")] | None = None
    bought: Annotated[Short, Field(description="YYYY-MM-DD of the last purchase")] = ""


class Orders(_Strict):
    """Holdings and money; give `capital` (holdings and cash together) or `cash`."""

    run: Short
    holdings: Annotated[list[Holding], Field(max_length=MOST_ITEMS)] = []
    capital: Annotated[float, Field(gt=0, le=1e12)] | None = None
    cash: Annotated[float, Field(ge=0, le=1e12)] | None = None
    as_of: Short = ""
    rules: Rules = Field(default_factory=Rules)


class Publish(_Strict):
    """A forecast for the journal: of one stock, or of the whole pool."""

    run: Short
    symbol: Short = ""
    as_of: Short = ""
    days: Annotated[int, Field(ge=0, le=config.MAX_HORIZON)] = 0


class Rename(_Strict):
    """Another name for a run."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
