"""What an unexpected error is told as: a sentence where memory ran out, else the number under which it is logged.

In: an exception. Out: an error for a person, or eight letters that are the same wherever it is caught, so that a user's number is the log's.
It knows no interface.
"""

from __future__ import annotations

import sys
import uuid

from financial_model.errors import JobError


def error_id(error: BaseException) -> str:
    """The number of this very exception; made when first asked for."""
    return vars(error).setdefault("error_id", uuid.uuid4().hex[:8])


def memory_failure(error: BaseException) -> JobError | None:
    """The sentence for an error that says there is no memory left, on the machine or on its GPU; None for any other."""
    if "torch" in sys.modules:
        from financial_model.training.step import is_out_of_memory

        found = is_out_of_memory(error)
    else:
        found = isinstance(error, MemoryError)
    return JobError("serving.out_of_memory", device="gpu" if type(error).__name__ == "OutOfMemoryError" else "cpu") if found else None
