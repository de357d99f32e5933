"""Attention by the fastest kernel there is: flash-attn where it is installed and fits, else torch's own choice, else plain arithmetic.

In: query, key, value ``[batch, heads, bars, size]``. Out: ``[batch, heads, bars, size]``. The backends compute the same function: same weights,
same result within ``TOLERANCE`` of the dtype. It knows no projections, no positions and no model.
"""

from __future__ import annotations

import importlib
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from financial_model.runtime import flash_attention

BACKENDS = ("flash", "torch", "math")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
"""Largest difference between two backends for values of about one."""
_FLASH_WIDEST = 256


def backend(query: Tensor, *, mask: Tensor | None = None) -> str:
    """The backend ``attention`` takes for these arguments. torch's own then picks flash, efficient or math by itself."""
    fits = query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and mask is None and query.shape[-1] <= _FLASH_WIDEST
    if not fits or torch.compiler.is_exporting():
        return "torch"
    generation = _generation(query.device.index or 0)
    # generation 4 is written in Python that a compiler cannot look into
    return "flash" if generation and not (generation == "4" and torch.compiler.is_compiling()) else "torch"


@torch.compiler.assume_constant_result
def _generation(index: int) -> str:
    """The generation of flash-attn for a GPU; it does not change while a process lives, so a compiler need not look again."""
    return _generation_of(torch.cuda.get_device_capability(index)[0])


@cache
def _generation_of(architecture: int) -> str:
    return flash_attention(architecture)


def attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, causal: bool = False, use: str = "") -> Tensor:
    """``softmax(query key^T / sqrt(size) + mask) value``.

    ``mask``: True where a key may be seen, or numbers that are added; broadcast to ``[batch, heads, queries, keys]``. ``causal``: a query sees
    the keys up to its own bar; both sequences end at the same bar, so a single query sees everything. ``use`` forces a backend.
    """
    chosen = use or backend(query, mask=mask)
    if chosen == "flash":
        return _flash(query, key, value, causal)
    if chosen == "math":
        return _math(query, key, value, mask, causal)
    if chosen != "torch":
        raise ValueError(f"unknown backend {chosen!r}")
    if causal and (mask is not None or query.shape[-2] != key.shape[-2]):  # torch aligns the first bars, not the last
        mask, causal = _with_causal(mask, query, key), False
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)


def _math(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """The specification."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if causal:
        mask = _with_causal(mask, query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(value.dtype) @ value


def _with_causal(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    queries, keys = query.shape[-2], key.shape[-2]
    past = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    if mask is None:
        return past
    return mask & past if mask.dtype == torch.bool else mask.masked_fill(~past, -math.inf)


def _flash(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """flash-attn keeps heads behind bars; its causal mask is aligned at the last bar, as ours."""
    call = _flash_function(_generation(query.device.index or 0))
    out = call(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), causal=causal)
    return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)


@cache
def _flash_function(generation: str) -> Any:
    """All generations take ``[batch, bars, heads, size]`` and ``causal``; some also return the logarithms of the sums."""
    return importlib.import_module({"2": "flash_attn", "3": "flash_attn_interface", "4": "flash_attn.cute"}[generation]).flash_attn_func
