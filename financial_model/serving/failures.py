"""The number under which an unexpected error is logged: the same wherever it is caught, so that a user's number is the log's.

In: an exception. Out: eight letters. It knows no interface.
"""

from __future__ import annotations

import uuid


def error_id(error: BaseException) -> str:
    """The number of this very exception; made when first asked for."""
    return vars(error).setdefault("error_id", uuid.uuid4().hex[:8])
