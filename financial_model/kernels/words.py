"""Eight bytes of a text at once, and the digits in them: what reading and writing of numbers share.

In: arrays of bytes and positions in them. Out: words, the lowest byte first. It checks no bounds.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_inline: Any = intrinsic
# _nrt: nothing here makes an array, and counting who holds one would take as long as the work
compiled = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
inlined = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy", forceinline=True, _nrt=False)  # type: ignore[call-overload]
"""For what is done in every cell: a call would cost as much as the work."""
U = np.uint64


@_inline
def word_at(typingctx, data, at):
    """Eight bytes from ``at`` on: one load, which the compiler does not make of eight by itself."""

    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(data, at), code


@_inline
def put_word(typingctx, data, at, word):
    """Eight bytes; what a caller does not keep is written over by what follows."""

    def code(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        builder.store(args[2], builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(data, at, types.uint64), code


@_inline
def zeros(typingctx, word):
    """Zero bits below the lowest one (64 for none)."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(word), code


@compiled
def number_of(word, count):
    """The number that the first ``count`` (1 to 8) bytes of a word make, all digits: neighbours joined, pairs, halves."""
    word = (word << (U(64) - U(8) * count)) & U(0x0F0F0F0F0F0F0F0F)
    word = (word * U(10) + (word >> U(8))) & U(0x00FF00FF00FF00FF)
    word = (word * U(100) + (word >> U(16))) & U(0x0000FFFF0000FFFF)
    return (word * U(10_000) + (word >> U(32))) & U(0xFFFFFFFF)


@compiled
def digits_of(value):
    """The eight digits of a number below 10**8 as the bytes of one word, the first digit lowest: both halves, all pairs, all digits at once."""
    above = value // U(10_000)
    halves = above | (value - above * U(10_000)) << U(32)
    hundreds = (halves * U(10_486) >> U(20)) & U(0x7F0000007F)
    pairs = (halves - hundreds * U(100)) << U(16) | hundreds
    tens = (pairs * U(103) >> U(10)) & U(0x000F000F000F000F)
    return U(0x3030303030303030) + (tens | (pairs - tens * U(10)) << U(8))
