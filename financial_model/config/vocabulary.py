"""The field's vocabulary: names and their index order, and what each backbone is made of."""

from __future__ import annotations

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
TSF_BACKBONES = ("tsf", "tsf-5m", "tsf-27m")
HEEDED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("norm", "stem", "patches", "causal"), ATTENTION_BACKBONES),
    **dict.fromkeys(("attention", "kv_heads"), TSF_BACKBONES),
    **dict.fromkeys(("experts", "expert_size", "balance"), (*TSF_BACKBONES, "moe_transformer")),
    **dict.fromkeys(("attention_window", "head_dropout"), ("moe_transformer",)),
}
"""Settings of a model that only some of the built-in backbones know."""
CONDITION_MODES = ("none", "concat", "film")
HEADS = ("auto", "point", "quantile", "classes", "multi")
TASKS = ("classes", "return", "volatility", "momentum")
"""What the head multi answers, in the order of ``task_weights``."""
FIGURES = TASKS[2:]
"""Answers of the head multi besides those other heads give: about the bars within the horizon, one number a window."""
NORMS = ("auto", "layernorm", "rmsnorm", "batchnorm", "dyt")
ATTENTIONS = ("mha", "gqa", "mla")
STEMS = ("linear", "mscnn")
METHODS = ("full", "head", "lora", "distill", "preference", "pretrain")
"""What a run does to which weights; full without a checkpoint to start from is an ordinary training."""
NEEDS_BASE = ("head", "lora", "distill", "preference")
PATCH, PATCH_OVERLAP = 24, 8
"""Bars of a patch, and how many of them it shares with the next."""
BASELINES = ("ridge", "lightgbm", "reversal_5", "momentum_12_1", "moving_average", "persistence", "train_mean", "zero")
"""The hardest to beat first: a narrow screen shows these beside the model."""
OBJECTIVES: dict[str, str] = {
    "mse": "point", "mae": "point", "huber": "point", "trend_aware": "point", "huber_trend": "point", "directional": "point",
    "ic": "point", "pairwise_rank": "point",
    "quantile": "quantile", "cross_entropy": "classes", "focal": "classes", "cost_matrix": "classes",
    "multi_task": "multi",
}
"""Every objective and the head it trains."""
DATE_OBJECTIVES = ("ic", "pairwise_rank")
"""Objectives that compare the stocks of one date: their batches hold whole dates, and they leave the size of a forecast open."""
DEFAULT_OBJECTIVE = {"point": "trend_aware", "quantile": "quantile", "classes": "cross_entropy", "multi": "multi_task"}
RETURN = "log_return"
LABELS: list[str] = [RETURN, "future_volatility", "future_momentum"]
"""What a model can be trained on: returns, and other labels by name (features/labels.py); a user's own add themselves."""
VALUE_OBJECTIVES = ("mse", "mae", "huber", "quantile")
"""Objectives that ask for a number as it is; the others ask for a direction, a class, or a place among stocks."""
SCHEDULES = ("constant", "plateau", "cosine", "onecycle")
WALKS = ("none", "expanding", "rolling")
NORMALISATIONS = ("robust", "standard", "minmax", "zscore", "last_close")
"""robust, standard, minmax: tables fitted on training rows. zscore, last_close: from each window alone."""
CONTEXTS = ("fixed", "random", "auto")
"""How many bars a window holds: as set; as set while training sees a random part of it; from the autocorrelation of returns."""
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
