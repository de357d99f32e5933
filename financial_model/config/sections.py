"""Every setting of a run and its default, once, in frozen dataclasses by what they decide.

In: the vocabulary. Out: ``RunConfig`` and its sections, and the presets. It knows no interface.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from financial_model.config.vocabulary import (
    ATTENTIONS,
    BACKBONE_SHAPES,
    CONDITION_MODES,
    CONTEXTS,
    DATE_OBJECTIVES,
    DEFAULT_OBJECTIVE,
    FEATURE_GROUPS,
    HEADS,
    INDUSTRIES,
    LABELS,
    MAX_HORIZON,
    METHODS,
    NORMALISATIONS,
    NORMS,
    OBJECTIVES,
    RETURN,
    SCHEDULES,
    STEMS,
    WALKS,
)


def option(default: Any, *, choices: Iterable[str] | None = None, low: float | None = None, high: float | None = None,
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

    groups: tuple[str, ...] = option(("price", "return", "volatility", "volume", "time", "rank", "market"), choices=FEATURE_GROUPS)
    formulas: tuple[str, ...] = option(())
    """Features of one's own in the formula language (features/formula.py), as "rank(mean(close, 5) / close - 1)"."""
    context: str = option("fixed", choices=CONTEXTS)
    """fixed: windows of context_length bars. random: of context_high bars, and each training batch sees its last context_low to context_high,
    drawn anew (a regulariser; evaluations and forecasts see all). auto: of as many as returns remember, context_low to context_high."""
    context_length: int = option(60, low=1, high=2000, step=1)
    """Bars a window holds; under random and auto it is decided by :func:`resolve`."""
    context_low: int = option(20, low=1, high=2000, step=1, advanced=True)
    context_high: int = option(100, low=1, high=2000, step=1, advanced=True)
    normalisation: str = option("robust", choices=NORMALISATIONS)
    clip: float = option(5.0, low=0.0, high=100.0, step=0.5, advanced=True)
    """Normalised inputs are limited to plus or minus this; 0: no limit."""

    def span(self) -> tuple[int, int]:
        """Fewest and most bars a model of this run may be given."""
        if self.context == "fixed":
            return self.context_length, self.context_length
        return self.context_low, self.context_high


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """What a model is asked."""

    target: str = option(RETURN, choices=LABELS, flag="label")
    """Returns, or another label by its name: then one number per horizon in the label's own unit."""
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

    @property
    def own(self) -> bool:
        """Whether the target is no return: nothing of it can be turned into a price, an order or a portfolio."""
        return self.target != RETURN


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

    backbone: str = option("cnn_lstm", choices=BACKBONE_SHAPES, flag="model")
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
    cross_section: bool = option(False, advanced=True)
    """Attention across the stocks of a date after the backbone; batches then hold dates."""
    linear_start: bool = option(True, advanced=True)
    """A point forecast begins at a ridge regression on the last row and at significant products of its inputs, and the network learns what
    these miss. Needs ``skip``, a fitted normalisation and an objective that is not a comparison within dates."""
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
    task_weights: tuple[float, ...] = option((1.0, 1.0, 0.5, 0.5), advanced=True)
    """multi_task: what the losses of classes, return, volatility and momentum count."""
    mixup: bool = option(False, advanced=True)
    """Blend windows of a batch in pairs while training, their targets with them."""
    mixup_alpha: float = option(0.2, low=0.01, high=10.0, step=0.1, advanced=True)
    """Shape of the blend, Beta(alpha, alpha): small leaves one window nearly whole, 1 makes every share as likely."""
    mixup_probability: float = option(0.5, low=0.0, high=1.0, step=0.05, advanced=True)
    """Share of the batches that are blended."""
    epochs: int = option(5, low=1, high=1000, step=1)
    batch_size: int = option(256, low=1, high=65536, step=1)
    windows_per_epoch: int = option(100_000, low=0, high=100_000_000, step=1000)
    """0: all of them; otherwise so many drawn at random. Where a forecast begins is fitted on all of them in either case (models/linear_start.py);
    this is how many the network sees between two looks at validation."""
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
    patience: int = option(3, low=0, high=1000, step=1)
    """Evaluations without improvement before stopping; 0: never."""
    evaluations_per_epoch: int = option(1, low=1, high=100, step=1, advanced=True)
    precision: str = option("auto", choices=("auto", "fp32", "tf32", "bf16", "fp16"), advanced=True)
    compile: str = option("auto", choices=("auto", "on", "off"), advanced=True)
    device: str = option("auto", advanced=True)
    save_every: int = option(5, low=0, high=1000, step=1, advanced=True)
    """Epochs between epoch<N>.safetensors; 0: never."""
    resume_every: int = option(60, low=1, high=36_000, step=1, advanced=True)
    """Seconds between resume points inside an epoch."""
    seed: int = option(42, low=0, high=2**31 - 1, step=1)
    seeds: int = option(1, low=1, high=50, step=1)
    """Members of an ensemble: so many trainings from this seed and the next ones, averaged in one checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferConfig:
    """What a run starts from, and which weights it moves."""

    method: str = option("full", choices=METHODS)
    init_from: str = option("")
    """The run whose checkpoint this one starts from, by id or name; the command line also takes a file. Empty: fresh weights."""
    lora_rank: int = option(8, low=1, high=512, step=1, advanced=True)
    lora_alpha: float = option(16.0, low=0.1, high=1024.0, step=1, advanced=True)
    """An adapter's product counts alpha / rank."""
    distill_temperature: float = option(2.0, low=0.1, high=100.0, step=0.5, advanced=True)
    """Divides the logits of teacher and student (classes head)."""
    distill_weight: float = option(0.5, low=0.0, high=1.0, step=0.05, advanced=True)
    """Share of the teacher in the loss; the rest is the run's own objective."""
    preference_beta: float = option(1.0, low=0.01, high=100.0, step=0.1, advanced=True)
    """How strongly the reference holds the model back: the larger, the closer it stays."""
    mask_share: float = option(0.75, low=0.1, high=0.9, step=0.05, advanced=True)
    """Share of the patches that pre-training hides."""


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
    transfer: TransferConfig = field(default_factory=TransferConfig)

    def head(self) -> str:
        """The head a run trains: as chosen, or the one its objective needs."""
        if self.model.head != "auto":
            return self.model.head
        return "quantile" if self.training.objective == "auto" else OBJECTIVES[self.training.objective]

    def objective(self) -> str:
        """The objective a run minimises: as its method asks, as chosen, or the default of its head."""
        if self.transfer.method == "preference":
            return "pairwise_rank"
        if self.training.objective != "auto":
            return self.training.objective
        return "mse" if self.label.own and self.head() == "point" else DEFAULT_OBJECTIVE[self.head()]

    def by_date(self) -> bool:
        """Whether batches have to hold dates, because stocks of one date are compared or see each other."""
        return self.model.cross_section or self.objective() in DATE_OBJECTIVES


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 3, "windows_per_epoch": 40_000, "hidden": 96, "layers": 1, "context_length": 30, "patience": 0, "heads": 4},
    "standard": {},
    "thorough": {"epochs": 40, "windows_per_epoch": 0, "patience": 8, "evaluations_per_epoch": 4},
}
"""Flat overrides of the defaults; what a user sets himself wins over them."""
