"""Asking the processor for memory before it is needed, from inside compiled loops.

In: an array and the place of an element. Out: nothing; the line of that element is on its way into the cache. Windows lie at random in a panel
that is larger than the cache, so a loop that only reads what it needs waits for memory at every one of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LINE = 64
"""Bytes that come into the cache together."""
_READ, _KEEP, _DATA = 0, 3, 1  # what LLVM's llvm.prefetch wants to know


def _prefetch(typing, array, place):
    """Ask for the cache line of ``array``'s element ``place``, counted in elements from its beginning. A wrong place does no harm."""
    byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)

    def generate(context, builder, signature, arguments):
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), byte)
        ask = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole]), "llvm.prefetch.p0i8")
        builder.call(ask, [address, whole(_READ), whole(_KEEP), whole(_DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)
"""As compiled code calls it: ``prefetch(array, place)``."""
