"""Every setting of a run and its default, once. The command line, the form in the browser and a checkpoint's header come from here.

In: nothing but numbers and names. Out: frozen dataclasses, their flat field list, presets, and the list of problems before a start.
It knows no data, no torch and no page.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from financial_model.errors import ConfigError

# ---------------------------------------------------------------- the field's vocabulary: names and their index order
INDUSTRIES = ("finance", "consumer", "technology", "healthcare", "industrial", "materials", "energy", "utilities", "real_estate", "telecom", "other")
SIZES = ("mega", "large", "mid", "small", "micro")
VALUES = ("deep_value", "value", "balanced", "growth")
VOLATILITIES = ("low", "medium", "high")
MOMENTA = ("strong", "positive", "neutral", "negative", "reversal")
REGIMES = ("bull", "bear", "sideways", "volatile")
CONDITIONS: dict[str, tuple[str, ...]] = {
    "industry": INDUSTRIES, "size": SIZES, "value": VALUES, "volatility": VOLATILITIES, "momentum": MOMENTA, "regime": REGIMES,
}
"""The six columns of ``conditions.npy`` in order; in each, the index after the last name means unknown."""
CONDITION_SIZES = tuple(len(names) + 1 for names in CONDITIONS.values())
RANKS = ("size", "value", "volatility", "momentum")
"""The four columns of ``ranks.npy``: continuous per-date ranks in -0.5..0.5, 0 where unknown."""
CLASSES = ("up", "flat", "down")

FEATURE_GROUPS = (
    "price", "return", "volatility", "volume", "time", "lag", "momentum", "trend", "reversal",
    "relation", "technical", "market", "rank", "alpha")
BACKBONES = ("mlp", "lstm", "gru", "lstm_tutorial", "transformer", "cnn_lstm", "tsf", "tsf-5m", "tsf-27m", "moe_transformer", "multiscale")
ATTENTION_BACKBONES = ("transformer", "tsf", "tsf-5m", "tsf-27m", "moe_transformer", "multiscale")
"""Backbones for which heads, norm, stem, patches and causal mean something."""
CONDITION_MODES = ("none", "concat", "film")
HEADS = ("auto", "point", "quantile", "classes")
NORMS = ("auto", "layernorm", "rmsnorm", "batchnorm", "dyt")
ATTENTIONS = ("mha", "gqa", "mla")
STEMS = ("linear", "mscnn")
PATCH, PATCH_OVERLAP = 24, 8
"""Bars of a patch, and how many of them it shares with the next."""
BASELINES = ("zero", "train_mean", "reversal_5", "ridge")
OBJECTIVES: dict[str, str] = {
    "mse": "point", "mae": "point", "huber": "point", "trend_aware": "point", "huber_trend": "point", "directional": "point",
    "ic": "point", "pairwise_rank": "point",
    "quantile": "quantile", "cross_entropy": "classes", "focal": "classes", "cost_matrix": "classes",
}
"""Every objective and the head it trains."""
DATE_OBJECTIVES = ("ic", "pairwise_rank")
"""Objectives that compare the stocks of one date: their batches hold whole dates, and they leave the size of a forecast open."""
DEFAULT_OBJECTIVE = {"point": "trend_aware", "quantile": "quantile", "classes": "cross_entropy"}
SCHEDULES = ("constant", "plateau", "cosine", "onecycle")
WALKS = ("none", "expanding", "rolling")
NORMALISATIONS = ("robust", "standard", "minmax", "zscore", "last_close")
"""robust, standard, minmax: tables fitted on training rows. zscore, last_close: from each window alone."""
MAX_HORIZON = 30

BACKBONE_SHAPES: dict[str, dict[str, int]] = {
    "mlp": {"hidden": 128, "layers": 2, "heads": 1},
    "lstm": {"hidden": 128, "layers": 3, "heads": 1},
    "gru": {"hidden": 128, "layers": 3, "heads": 1},
    "lstm_tutorial": {"hidden": 128, "layers": 2, "heads": 1},
    "transformer": {"hidden": 256, "layers": 4, "heads": 8},
    "cnn_lstm": {"hidden": 384, "layers": 2, "heads": 1},
    "tsf": {"hidden": 256, "layers": 4, "heads": 4, "expert_size": 512},
    "tsf-5m": {"hidden": 128, "layers": 4, "heads": 4, "expert_size": 344},
    "tsf-27m": {"hidden": 256, "layers": 4, "heads": 4, "expert_size": 952},
    "moe_transformer": {"hidden": 256, "layers": 6, "heads": 8, "expert_size": 1024},
    "multiscale": {"hidden": 128, "layers": 3, "heads": 4},
}
"""What ``hidden``, ``layers``, ``heads`` and ``expert_size`` mean when a user leaves them at 0."""


def option(default: Any, *, choices: tuple[str, ...] | None = None, low: float | None = None, high: float | None = None,
           step: float | None = None, advanced: bool = False, flag: str | None = None) -> Any:
    """A field with what a form and a command line need to know about it; its words stand in the catalogue (``form.<name>``)."""
    return field(default=default, metadata={"choices": choices, "low": low, "high": high, "step": step, "advanced": advanced, "flag": flag})


@dataclass(frozen=True, kw_only=True, slots=True)
class UniverseConfig:
    """Which bars a run sees."""

    symbols: tuple[str, ...] = option(())
    """Empty: every symbol in the store."""
    industry: str = option("all", choices=("all", *INDUSTRIES))
    """One industry trains a single-industry model."""
    max_symbols: int = option(0, low=0, high=100_000, step=10)
    """0: no limit; otherwise the symbols with the longest history."""
    start: str = option("")
    end: str = option("")
    min_history: int = option(120, low=2, high=5000, step=10, advanced=True)
    """Symbols with fewer bars than this are left out, and named in the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureConfig:
    """What a model reads."""

    groups: tuple[str, ...] = option(("price", "return", "volatility", "volume", "time", "rank"), choices=FEATURE_GROUPS)
    formulas: tuple[str, ...] = option(())
    """Features of one's own in the formula language (features/formula.py), as "rank(mean(close, 5) / close - 1)"."""
    context_length: int = option(60, low=1, high=2000, step=1)
    """Bars a window holds."""
    normalisation: str = option("robust", choices=NORMALISATIONS)
    clip: float = option(5.0, low=0.0, high=100.0, step=0.5, advanced=True)
    """Normalised inputs are limited to plus or minus this; 0: no limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """What a model is asked."""

    horizon: int = option(5, low=1, high=MAX_HORIZON, step=1)
    """Days ahead: cumulative log returns 1..horizon."""
    entry: str = option("close", choices=("close", "next_open", "next_close"))
    """Price the return starts from: the close of the last bar of the window, or a price of the bar after it."""
    unit: str = option("auto", choices=("auto", "volatility", "return", "rank"), advanced=True)
    """What the objective sees: the return in units of the stock's own volatility times sqrt(days), or of the training spread per horizon,
    or the stock's place among all stocks of its date. auto: see :func:`resolve`; volatility until then."""
    up: float = option(0.03, low=0.0, high=0.5, step=0.005)
    """Class up: return at class_horizon of at least this (simple return, not percent)."""
    down: float = option(-0.02, low=-0.5, high=0.0, step=0.005)
    class_horizon: int = option(3, low=1, high=MAX_HORIZON, step=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """Dates, the same for all symbols: train | purge | validation | purge | test."""

    train: float = option(0.8, low=0.1, high=0.95, step=0.01)
    validation: float = option(0.1, low=0.01, high=0.5, step=0.01)
    train_end: str = option("")
    """Explicit last training date (overrides the ratio)."""
    validation_end: str = option("")
    train_start: str = option("", advanced=True)
    """Explicit first training date; empty: the first session."""
    walk_forward: str = option("none", choices=WALKS)
    """Train anew for each of ``folds`` pieces of the test part, on all dates before it (expanding) or on as many as at first (rolling)."""
    folds: int = option(5, low=2, high=60, step=1)
    embargo: int = option(0, low=0, high=500, step=1, advanced=True)
    """Extra sessions dropped after each purge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """backbone -> condition -> head."""

    backbone: str = option("cnn_lstm", choices=BACKBONES, flag="model")
    condition: str = option("none", choices=CONDITION_MODES)
    head: str = option("auto", choices=HEADS)
    hidden: int = option(0, low=0, high=1024, step=16)
    """0: the backbone's own (BACKBONE_SHAPES)."""
    layers: int = option(0, low=0, high=16, step=1)
    heads: int = option(0, low=0, high=32, step=1)
    dropout: float = option(0.2, low=0.0, high=0.9, step=0.05)
    causal: bool = option(False, advanced=True)
    skip: bool = option(True, advanced=True)
    """A small network and a linear path from the window's last row, beside the sequence backbone; lstm_tutorial never has one."""
    norm: str = option("auto", choices=NORMS, advanced=True)
    """Normalisation inside attention models; auto: rmsnorm in tsf, layernorm elsewhere."""
    stem: str = option("linear", choices=STEMS, advanced=True)
    """How bars enter an attention model: one linear layer, or convolutions and wavelets (mscnn)."""
    patches: bool = option(False, advanced=True)
    """Attention models read overlapping patches of PATCH bars instead of bars."""
    attention: str = option("mla", choices=ATTENTIONS, advanced=True)
    """tsf only."""
    kv_heads: int = option(0, low=0, high=32, step=1, advanced=True)
    """Heads of keys and values under gqa; 0: about a quarter of the heads."""
    experts: int = option(8, low=2, high=64, step=1, advanced=True)
    """Routed experts of tsf and moe_transformer; two of them work on a bar."""
    expert_size: int = option(0, low=0, high=8192, step=16, advanced=True)
    """Width of an expert; 0: the backbone's own, in proportion to hidden."""
    balance: float = option(0.01, low=0.0, high=1.0, step=0.01, advanced=True)
    """Weight of the loss that spreads the work over the experts."""
    attention_window: int = option(20, low=1, high=2000, step=1, advanced=True)
    """Bars to either side that moe_transformer attends to."""
    head_dropout: float = option(0.1, low=0.0, high=0.9, step=0.05, advanced=True)
    """Share of whole attention heads of moe_transformer switched off while training."""
    industry_size: int = option(32, low=1, high=256, step=1, advanced=True)
    style_size: int = option(16, low=1, high=256, step=1, advanced=True)
    regime_size: int = option(16, low=1, high=256, step=1, advanced=True)
    quantile_levels: tuple[float, ...] = option((0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975), advanced=True)

    def shape(self) -> dict[str, int]:
        """hidden, layers and heads (and expert_size where there are experts) with the backbone's own values where they are 0."""
        own = BACKBONE_SHAPES[self.backbone]
        shape = {name: getattr(self, name) or own[name] for name in ("hidden", "layers", "heads")}
        if "expert_size" in own:
            shape["expert_size"] = self.expert_size or max(8, own["expert_size"] * shape["hidden"] // own["hidden"] // 8 * 8)
        return shape

    def norm_or(self, own: str) -> str:
        """The norm as chosen, or a backbone's ``own``."""
        return own if self.norm == "auto" else self.norm


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How weights are found."""

    objective: str = option("auto", choices=("auto", *OBJECTIVES))
    label_smoothing: float = option(0.0, low=0.0, high=0.9, step=0.05, advanced=True)
    """Share of a class label spread evenly over all classes (cross_entropy and focal)."""
    class_weights: str = option("none", choices=("none", "balanced"), advanced=True)
    """balanced: rare classes weigh more, by the class counts of each batch (cross_entropy and focal)."""
    cost_matrix: tuple[float, ...] = option((0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 2.0, 0.5, 0.0), advanced=True)
    """What each mistake costs (cost_matrix): rows the true class up, flat, down; columns the predicted one."""
    epochs: int = option(10, low=1, high=1000, step=1)
    batch_size: int = option(256, low=1, high=65536, step=1)
    windows_per_epoch: int = option(0, low=0, high=100_000_000, step=1000)
    """0: all of them; otherwise so many drawn at random."""
    learning_rate: float = option(5e-4, low=0.0, high=1.0)
    weight_decay: float = option(0.1, low=0.0, high=1.0, advanced=True)
    schedule: str = option("cosine", choices=SCHEDULES)
    warmup: float = option(0.05, low=0.0, high=0.9, step=0.01, advanced=True)
    """Share of all steps over which the learning rate rises."""
    min_learning_rate: float = option(1e-6, low=0.0, high=1.0, advanced=True)
    clip_norm: float = option(1.0, low=0.0, high=1000.0, step=0.1, advanced=True)
    """0: no clipping."""
    accumulation: int = option(1, low=1, high=1024, step=1, advanced=True)
    """Batches per optimiser step."""
    patience: int = option(5, low=0, high=1000, step=1)
    """Evaluations without improvement before stopping; 0: never."""
    evaluations_per_epoch: int = option(1, low=1, high=100, step=1, advanced=True)
    precision: str = option("auto", choices=("auto", "fp32", "bf16", "fp16"), advanced=True)
    compile: str = option("auto", choices=("auto", "on", "off"), advanced=True)
    device: str = option("auto", advanced=True)
    save_every: int = option(5, low=0, high=1000, step=1, advanced=True)
    """Epochs between epoch<N>.safetensors; 0: never."""
    resume_every: int = option(60, low=1, high=36_000, step=1, advanced=True)
    """Seconds between resume points inside an epoch."""
    seed: int = option(42, low=0, high=2**31 - 1, step=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole run: everything that decides its numbers, except the data itself."""

    name: str = option("run")
    universe: UniverseConfig = field(default_factory=UniverseConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainConfig = field(default_factory=TrainConfig)

    def head(self) -> str:
        """The head a run trains: as chosen, or the one its objective needs."""
        if self.model.head != "auto":
            return self.model.head
        return "quantile" if self.training.objective == "auto" else OBJECTIVES[self.training.objective]

    def objective(self) -> str:
        """The objective a run minimises: as chosen, or the default of its head."""
        return DEFAULT_OBJECTIVE[self.head()] if self.training.objective == "auto" else self.training.objective

    def by_date(self) -> bool:
        """Whether batches have to hold dates, because stocks of one date are compared."""
        return self.objective() in DATE_OBJECTIVES


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 3, "windows_per_epoch": 40_000, "hidden": 96, "layers": 1, "context_length": 30, "patience": 0, "heads": 4},
    "standard": {},
    "thorough": {"epochs": 40, "patience": 8, "evaluations_per_epoch": 4},
}
"""Flat overrides of the defaults; what a user sets himself wins over them."""


# ---------------------------------------------------------------- the flat view: one list for forms, flags and presets
@dataclass(frozen=True, kw_only=True, slots=True)
class FieldSpec:
    """One setting as an interface sees it."""

    name: str
    section: str
    """Attribute of RunConfig it stands in; empty for RunConfig itself."""
    kind: type
    """int, float, str, bool or tuple."""
    item: type | None
    """Type of the items of a tuple."""
    default: Any
    choices: tuple[str, ...] | None
    low: float | None
    high: float | None
    step: float | None
    advanced: bool
    flag: str


@functools.cache
def fields() -> tuple[FieldSpec, ...]:
    """Every setting of a run in order. Names are unique over all sections."""
    return tuple(_walk())


def _walk() -> Iterator[FieldSpec]:
    for outer in dataclasses.fields(RunConfig):
        if outer.default_factory is dataclasses.MISSING:
            yield _spec(RunConfig, outer, "")
        else:
            section = typing.cast(type, outer.default_factory)
            for inner in dataclasses.fields(section):
                yield _spec(section, inner, outer.name)


def _spec(owner: type, entry: dataclasses.Field, section: str) -> FieldSpec:
    hint = typing.get_type_hints(owner)[entry.name]
    origin = typing.get_origin(hint)
    meta: Mapping[str, Any] = entry.metadata
    return FieldSpec(
        name=entry.name, section=section, kind=origin or hint, item=typing.get_args(hint)[0] if origin is tuple else None,
        default=entry.default, choices=meta["choices"], low=meta["low"], high=meta["high"], step=meta["step"],
        advanced=meta["advanced"], flag=meta["flag"] or entry.name.replace("_", "-"),
    )


def spec(name: str) -> FieldSpec:
    for entry in fields():
        if entry.name == name:
            return entry
    raise ConfigError("config.unknown_setting", name=name)


def build(values: Mapping[str, Any] | None = None, *, preset: str = "standard", base: RunConfig | None = None) -> RunConfig:
    """A configuration from flat ``values`` (field name -> value or text) over a preset, or over ``base``. ``ConfigError`` names the field."""
    if base is None:
        if preset not in PRESETS:
            raise ConfigError("config.not_a_choice", name="preset", value=preset, choices=", ".join(PRESETS))
        values = {**PRESETS[preset], **(values or {})}
        base = RunConfig()
    sections: dict[str, dict[str, Any]] = {}
    for name, value in (values or {}).items():
        entry = spec(name)
        sections.setdefault(entry.section, {})[name] = convert(entry, value)
    top = sections.pop("", {})
    nested = {name: dataclasses.replace(getattr(base, name), **changes) for name, changes in sections.items()}
    return dataclasses.replace(base, **top, **nested)


def convert(entry: FieldSpec, value: Any) -> Any:
    """``value`` (a text, a number, a list) as the field's type and inside its range, or ``ConfigError``."""
    try:
        if entry.kind is tuple:
            parts = _parts(value) if isinstance(value, str) else list(value)
            converted: Any = tuple(entry.item(part) for part in parts)  # type: ignore[misc]
        elif entry.kind is bool:
            converted = value if isinstance(value, bool) else {"true": True, "1": True, "yes": True, "on": True,
                                                               "false": False, "0": False, "no": False, "off": False}[str(value).lower()]
        elif entry.kind is int:
            converted = int(value)
            if converted != float(value):
                raise ValueError(value)
        else:
            converted = entry.kind(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ConfigError("config.wrong_type", name=entry.name, value=str(value)[:60], kind=entry.kind.__name__) from None
    for item in converted if entry.kind is tuple else (converted,):
        if entry.choices and item not in entry.choices:
            raise ConfigError("config.not_a_choice", name=entry.name, value=str(item)[:60], choices=", ".join(entry.choices))
    if entry.kind in (int, float) and not ((entry.low is None or converted >= entry.low) and (entry.high is None or converted <= entry.high)):
        raise ConfigError("config.out_of_range", name=entry.name, value=converted, low=entry.low, high=entry.high)
    return converted


def _parts(text: str) -> list[str]:
    """What stands between commas; a comma inside parentheses belongs to a formula."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def flatten(config: RunConfig) -> dict[str, Any]:
    """Field name -> value, the inverse of :func:`build`."""
    return {entry.name: getattr(getattr(config, entry.section) if entry.section else config, entry.name) for entry in fields()}


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain nested JSON data."""
    return dataclasses.asdict(config)


def from_dict(data: Mapping[str, Any]) -> RunConfig:
    """A configuration from :func:`to_dict` data, each value checked. Unknown settings raise ``ConfigError``; absent ones keep their default."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat.update(value if isinstance(value, Mapping) else {name: value})
    return build(flat, base=RunConfig())


RANK_NAMES = 20
"""Stocks a date needs, in the middle of the dates, for places among them to mean something."""


def resolve(config: RunConfig, names_per_date: float) -> RunConfig:
    """What ``auto`` means once the data are known: a run that leaves head, objective and unit open learns each stock's place among the stocks
    of its date where there are enough of them (the market's own move is then no noise), and quantiles of the return otherwise."""
    open_ = config.model.head == config.training.objective == config.label.unit == "auto"
    if open_ and names_per_date >= RANK_NAMES:
        return build({"head": "point", "objective": "mse", "unit": "rank"}, base=config)
    return build({"unit": "volatility"}, base=config) if config.label.unit == "auto" else config


# ---------------------------------------------------------------- before a start
@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something wrong with a configuration: an error forbids the start, a warning does not."""

    field: str
    key: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    warning: bool = False


def problems(config: RunConfig) -> list[Problem]:
    """Everything that can be found wrong without data, all at once."""
    found: list[Problem] = []

    def error(name: str, key: str, **values: Any) -> None:
        found.append(Problem(field=name, key=key, values=values))

    model, training, label, split = config.model, config.training, config.label, config.split
    found += _architecture_problems(model, config.features.context_length)
    if model.head != "auto" and training.objective != "auto" and OBJECTIVES[training.objective] != model.head:
        error("objective", "config.objective_needs_head", objective=training.objective, needs=OBJECTIVES[training.objective], head=model.head)
    if label.unit == "rank" and config.head() != "point":
        error("unit", "config.rank_needs_point", head=config.head())
    costs = training.cost_matrix
    if len(costs) != len(CLASSES) ** 2 or not all(0 <= cost < math.inf for cost in costs) or not any(costs):
        error("cost_matrix", "config.cost_matrix", given=", ".join(map(str, costs)))
    levels = model.quantile_levels
    if len(levels) < 3 or list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels) or 0.5 not in levels:
        error("quantile_levels", "config.quantile_levels", levels=", ".join(map(str, levels)))
    if config.head() == "classes" and label.class_horizon > label.horizon:
        error("class_horizon", "config.class_horizon", class_horizon=label.class_horizon, horizon=label.horizon)
    if not label.down < label.up:
        error("up", "config.class_thresholds", up=label.up, down=label.down)
    if not config.features.groups and not config.features.formulas:
        error("groups", "config.no_groups")
    if split.train + split.validation >= 1:
        error("train", "config.split_ratio", train=split.train, validation=split.validation)
    if bool(split.train_end) != bool(split.validation_end):
        error("train_end", "config.split_dates_together")
    elif split.train_end and split.train_end >= split.validation_end:
        error("train_end", "config.split_dates_order", train_end=split.train_end, validation_end=split.validation_end)
    if training.learning_rate == 0:
        error("learning_rate", "config.learning_rate_zero")
    if model.condition != "none" and config.universe.symbols and len(config.universe.symbols) < 50:
        found.append(Problem(field="condition", key="config.condition_few_symbols", values={"count": len(config.universe.symbols)}, warning=True))
    return found


def _architecture_problems(model: ModelConfig, context_length: int) -> list[Problem]:
    """Heads, groups and patches that cannot be built, and options the backbone does not have."""
    found: list[Problem] = []
    if model.backbone not in ATTENTION_BACKBONES:
        unused = [name for name, on in (("stem", model.stem != "linear"), ("patches", model.patches)) if on]
        return [Problem(field=name, key="config.attention_only", values={"backbone": model.backbone}, warning=True) for name in unused]
    shape, rotary = model.shape(), model.backbone.startswith("tsf")
    size, heads = shape["hidden"], shape["heads"]
    good = [n for n in range(1, 33) if size % n == 0 and not (rotary and size // n % 2)]
    if heads not in good:
        key = "config.heads_divide" if size % heads else "config.head_size_even"
        found.append(Problem(field="heads", key=key, values={"heads": heads, "hidden": size, "good": ", ".join(map(str, good)) or "-"}))
    if rotary and model.attention == "gqa" and model.kv_heads and heads % model.kv_heads:
        groups = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
        found.append(Problem(field="kv_heads", key="config.kv_heads_divide", values={"kv_heads": model.kv_heads, "heads": heads, "good": groups}))
    if model.patches and context_length < PATCH:
        found.append(Problem(field="patches", key="config.shorter_than_patch", values={"context_length": context_length, "patch": PATCH}))
    return found


def check(config: RunConfig) -> None:
    """Raise ``ConfigError`` with every error of :func:`problems` in one sentence list; warnings pass."""
    errors = [problem for problem in problems(config) if not problem.warning]
    if len(errors) == 1:
        raise ConfigError(errors[0].key, **errors[0].values)
    if errors:
        raise ConfigError("config.several", details=" ".join(str(ConfigError(p.key, **p.values)) for p in errors))
