"""The list of features, and the one function that computes them.

In: bars of many symbols and feature names. Out: float32 ``[rows, features]``, causal: the row of bar t is the same, bit for bit, whether the
bars after t exist or not. A new feature is one decorated function; it knows nothing of files, models or the page.

    @feature("close_to_mean_10", "trend", help_en="close against its 10-bar mean", help_zh="收盘价相对 10 日均价")
    def close_to_mean_10(bars):
        return bars.close / bars.mean("close", 10) - 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from financial_model.config import FEATURE_GROUPS
from financial_model.errors import ConfigError
from financial_model.extensions import telling

if TYPE_CHECKING:
    from financial_model.features.blocks import Finished
    from financial_model.features.series import Series

LIMIT = 1e6
"""Features are scale-free; anything beyond this is a broken bar and is cut off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One named column."""

    name: str
    group: str
    help_en: str
    help_zh: str
    cross_section: bool
    """The function's values are replaced by their rank among the names of the same date and market, -0.5..0.5."""
    optional: bool
    """The bars may lack what it needs: unknown reads 0 instead of making the row unusable."""
    function: Callable[[Series], np.ndarray]
    inner: tuple[tuple[str, Callable[[Series], np.ndarray]], ...] = ()
    """Values that must be ranked among the names of each date before ``function`` can run, in the order they need each other; it finds the ranks
    as ``bars.ranks(key)``."""

    @property
    def built_in(self) -> bool:
        return self.function.__module__.startswith("financial_model.")


_FEATURES: dict[str, Feature] = {}


def register(entry: Feature) -> None:
    """Add a feature. ``ConfigError`` for an unknown group, or a name that another module or group has taken."""
    if entry.group not in FEATURE_GROUPS:
        raise ConfigError("features.unknown_group", group=entry.group, name=f" ({entry.name})", choices=", ".join(FEATURE_GROUPS))
    present = _FEATURES.get(entry.name)
    if present is not None and (present.function.__module__, present.group) != (entry.function.__module__, entry.group):
        raise ConfigError("features.duplicate", name=entry.name)
    _FEATURES[entry.name] = entry


def feature(name: str, group: str, *, help_en: str, help_zh: str, cross_section: bool = False, optional: bool = False,
            over: Sequence[int] = (), inner: Sequence[tuple[str, Callable[[Series], np.ndarray]]] = ()) -> Callable:
    """Register ``function(bars: Series) -> [rows]`` as a feature.

    ``over`` makes a family: ``function(bars, n)`` for every ``n``, with ``{n}`` filled in name and help.
    ``inner``: see :class:`Feature`.
    Values before the first finite one of a symbol are its warm-up and stay NaN; later ones that are not finite read 0.
    """
    def decorate(function: Callable) -> Callable:
        if not function.__module__.startswith("financial_model."):
            features()  # the built-in ones stand first, whenever a file of one's own is read
            function = telling(name, function)
        for n in over or (None,):
            register(Feature(
                name=name if n is None else name.format(n=n), group=group, cross_section=cross_section, optional=optional,
                help_en=help_en if n is None else help_en.format(n=n), help_zh=help_zh if n is None else help_zh.format(n=n),
                function=function if n is None else _bind(function, n), inner=tuple(inner)))
        return function
    return decorate


def _bind(function: Callable, n: int) -> Callable:
    def bound(bars: Series) -> np.ndarray:
        return function(bars, n)
    bound.__module__ = function.__module__
    return bound


def features() -> dict[str, Feature]:
    """Every feature by name, in registration order."""
    import financial_model.features.indicators  # noqa: F401  the built-in ones register when first asked for

    return _FEATURES


def get(name: str) -> Feature:
    """The feature called ``name``: a registered one, or a formula. ``ConfigError`` for a name that is neither."""
    if name in features():
        return _FEATURES[name]
    from financial_model.features import formula, formula_functions

    if formula.looks_like_formula(name) or name in formula_functions.COLUMNS:
        return formula_functions.feature(name)
    raise ConfigError("features.unknown", name=name)


def names(groups: Iterable[str], formulas: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of all features of ``groups``, in registration order, and of ``formulas`` in their canonical writing.

    ``ConfigError`` for an unknown group, and for a formula that cannot be read or is unfit to be an input.
    """
    chosen = tuple(groups)
    for group in chosen:
        if group not in FEATURE_GROUPS:
            raise ConfigError("features.unknown_group", group=group, name="", choices=", ".join(FEATURE_GROUPS))
    found = [name for name, entry in features().items() if entry.group in chosen]
    for text in formulas:
        from financial_model.features.formula_check import refuse_unfit

        refuse_unfit(text)
        found.append(get(text).name)
    return tuple(dict.fromkeys(found))


def describe() -> list[dict[str, str]]:
    """One entry per feature for the ``features`` command and the page: name, group, and a line in English and Chinese."""
    return [{"name": entry.name, "group": entry.group, "en": entry.help_en, "zh": entry.help_zh} for entry in features().values()]


def compute(bars: Any, names: Sequence[str], progress: Callable[[int, int], object] | None = None, *,
            out: np.ndarray | None = None, workers: int = 0, raw: np.ndarray | None = None, finished: Finished | None = None) -> np.ndarray:
    """The columns ``names`` of all ``bars`` (PackedBars) as float32 ``[rows, features]``.

    NaN only where a symbol's history is still too short. ``progress(done, total)`` counts blocks of symbols and may raise to stop.
    ``out``: write into this array (a memory map of a panel too large for memory). ``workers``: threads, 0 for one per core. ``raw``: float32
    ``[rows, features that are ranked]``, where their values lie before. ``finished``: parts that ``out`` and ``raw`` hold from an earlier call with
    the same bars and names; what is done now is added to it.
    A feature from outside this package that turns out to look ahead is refused with ``DataError``.
    """
    from financial_model.features.causality import refuse_look_ahead

    chosen = [get(name) for name in names]
    refuse_look_ahead(bars, [entry for entry in chosen if not entry.built_in])
    return compute_features(bars, chosen, progress, out=out, workers=workers, raw=raw, finished=finished)


def compute_features(bars: Any, chosen: Sequence[Feature], progress: Callable[[int, int], object] | None = None, *,
                     out: np.ndarray | None = None, workers: int = 0, raw: np.ndarray | None = None, finished: Finished | None = None) -> np.ndarray:
    """:func:`compute` for features that need not be registered, and without the check for looking ahead."""
    from financial_model.features.blocks import blocks, date_parts, evaluation, groups_by_date, run, with_ranks
    from financial_model.features.cross_section import rank
    from financial_model.features.settling import settle, settle_column

    if finished is None or any(part not in finished for part in range(len(blocks(bars.offsets)))):
        bars = with_ranks(bars, dict(pair for entry in chosen for pair in entry.inner), workers)
    table = np.empty((len(bars.time), len(chosen)), dtype=np.float32) if out is None else out
    across = np.array([entry.cross_section for entry in chosen], dtype=bool)
    optional = np.array([entry.optional for entry in chosen], dtype=bool)
    ranked = np.flatnonzero(across)
    before = np.empty((len(table), len(ranked)), np.float32) if raw is None else raw

    def settle_own(column: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray], None]:
        return lambda values, to, offsets: settle_column(values, to, offsets, optional[column], LIMIT)

    def settle_ranked(block: tuple[int, int]) -> None:
        settle(table, ranked, optional, bars.offsets, *block, LIMIT)

    functions = [(entry.name, entry.function) for entry in chosen]
    stages = [evaluation(bars, functions, table, {int(column): settle_own(int(column)) for column in np.flatnonzero(~across)},
                         (before, ranked))]
    if len(ranked):
        groups = groups_by_date(bars)
        stages.append((lambda part: rank(before, table, ranked, groups, thin=0.0, first=part[0], last=part[1]), date_parts(groups)))
        stages.append((settle_ranked, blocks(bars.offsets)))
    run(stages, progress, workers, finished)
    return table
