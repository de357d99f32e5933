"""The eleven industries as a column. What a stock does for a living comes from a classification file, never from its code.

In: symbols and a mapping symbol -> industry name. Out: int8 per symbol, the index after the last name where unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from financial_model.config import INDUSTRIES

UNKNOWN = len(INDUSTRIES)


def industry_codes(symbols: Sequence[str], industries: Mapping[str, str]) -> np.ndarray:
    """int8 [symbols]: index into ``INDUSTRIES``; ``UNKNOWN`` for a symbol or a name that is not listed."""
    index = {name: position for position, name in enumerate(INDUSTRIES)}
    return np.array([index.get(industries.get(symbol, ""), UNKNOWN) for symbol in symbols], dtype=np.int8)


def industry_names(codes: Iterable[int]) -> tuple[str, ...]:
    """The names of :func:`industry_codes`; "" for ``UNKNOWN``."""
    return tuple((*INDUSTRIES, "")[code] for code in codes)
