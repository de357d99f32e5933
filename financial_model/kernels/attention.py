"""Attention by the fastest kernel there is: flash-attn where it is installed and fits, else torch's own choice, else plain arithmetic.

In: query, key, value ``[batch, heads, bars, size]``. Out: ``[batch, heads, bars, size]``. The backends compute the same function: same weights,
same result within ``TOLERANCE`` of the dtype. It knows no projections, no positions and no model.
"""

from __future__ import annotations

import importlib
import logging
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from financial_model.runtime import flash_attention

logger = logging.getLogger(__name__)

BACKENDS = ("flash", "torch", "math")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
"""Largest difference between two backends for values of about one."""
_FLASH_WIDEST = 256
"""No generation goes further for all GPUs, but each refuses more than that, so a size is tried before it is used (``_serves``).

2: fp16 and bf16, up to 256. 3: fp16, bf16 and fp8, multiples of 8 (fp8: 16) up to 256; a build may leave out head sizes (groups 64, 96, 128, 192,
256), fp16 or the backward pass. 4: fp16 and bf16, multiples of 8; 8 to 256 on Hopper, on Blackwell 8 to 128 with few exceptions above (not 192 for
query and value alike). 2 and 3 refuse with ``RuntimeError``, 4 with ``AssertionError``; releases differ.
"""


def backend(query: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> str:
    """The backend ``attention`` takes for these arguments. torch's own then picks flash, efficient or math by itself."""
    fits = query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and mask is None and query.shape[-1] <= _FLASH_WIDEST
    if not fits or torch.compiler.is_exporting():
        return "torch"
    index = query.device.index or 0
    generation = _generation(index)
    # generation 4 is written in Python that a compiler cannot look into
    if not generation or generation == "4" and torch.compiler.is_compiling():
        return "torch"
    return "flash" if _serves(index, query.shape[-1], query.dtype, causal) else "torch"


@torch.compiler.assume_constant_result
def _generation(index: int) -> str:
    """The generation of flash-attn for a GPU; it does not change while a process lives, so a compiler need not look again."""
    return _generation_of(torch.cuda.get_device_capability(index)[0])


@torch.compiler.assume_constant_result
def _serves(index: int, size: int, dtype: torch.dtype, causal: bool) -> bool:
    """Whether flash-attn takes heads of this size on a GPU; found once, so a compiler and a recording never see the attempt."""
    return _tried(_generation(index), torch.device("cuda", index), size, dtype, causal)


@cache
def _tried(generation: str, device: torch.device, size: int, dtype: torch.dtype, causal: bool) -> bool:
    """Forward and backward of a few bars, without random numbers. A refusal is said once; torch's attention has the same weights."""
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            query, key, value = (torch.ones(1, 1, 16, size, dtype=dtype, device=device, requires_grad=True) for _ in range(3))
            _flash(query, key, value, causal, generation).sum().backward()
            if value.grad is None or not torch.isfinite(value.grad).all():  # waits, so that a failed launch is seen here
                raise RuntimeError("no gradient, or not a number")
    except torch.OutOfMemoryError:
        raise  # says nothing of the size
    except Exception as error:  # each generation has errors of its own for what it does not take
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        logger.warning("flash-attn %s does not take heads of %d in %s here (%s: %s); torch's attention is used for them, with the same weights",
                       generation, size, dtype, type(error).__name__, reason)
        return False
    return True


@cache
def _generation_of(architecture: int) -> str:
    return flash_attention(architecture)


def attention(query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None = None, causal: bool = False, use: str = "") -> Tensor:
    """``softmax(query key^T / sqrt(size) + mask) value``.

    ``mask``: True where a key may be seen, or numbers that are added; broadcast to ``[batch, heads, queries, keys]``. ``causal``: a query sees
    the keys up to its own bar; both sequences end at the same bar, so a single query sees everything. ``use`` forces a backend.
    """
    chosen = use or backend(query, mask=mask, causal=causal)
    if chosen == "flash":
        return _flash(query, key, value, causal, _generation(query.device.index or 0))
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


def _flash(query: Tensor, key: Tensor, value: Tensor, causal: bool, generation: str) -> Tensor:
    """flash-attn keeps heads behind bars; its causal mask is aligned at the last bar, as ours."""
    call = _flash_function(generation)
    out = call(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), causal=causal)
    return (out[0] if isinstance(out, tuple) else out).transpose(1, 2)


@cache
def _flash_function(generation: str) -> Any:
    """All generations take ``[batch, bars, heads, size]`` and ``causal``; some also return the logarithms of the sums."""
    return importlib.import_module({"2": "flash_attn", "3": "flash_attn_interface", "4": "flash_attn.cute"}[generation]).flash_attn_func
