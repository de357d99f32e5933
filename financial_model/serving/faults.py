"""What is wrong with values that programs send, in the reader's language: pydantic says it in English only.

In: the faults pydantic found. Out: one clause for each, the place of the value first. It knows no door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from financial_model.text import has, translate

SHOWN = 5
"""Faults that are spelled out."""
LONGEST = 700
_SAME = {
    "int_type": "whole", "int_parsing": "whole", "int_from_float": "whole", "int_parsing_size": "whole", "float_type": "number",
    "float_parsing": "number", "string_sub_type": "string_type", "string_unicode": "string_type", "bool_type": "bool", "bool_parsing": "bool",
    "list_type": "list", "dict_type": "object", "model_type": "object", "model_attributes_type": "object", "enum": "literal_error",
    "missing_argument": "missing", "unexpected_keyword_argument": "extra_forbidden",
}
"""Kinds of pydantic's that we say alike."""


def told(faults: Sequence[Mapping[str, Any]], language: str, place: int = 0) -> str:
    """The first faults as clauses, ``place``: how many parts of a location the reader does not know (FastAPI's "body", "query")."""
    return "; ".join(_clause(fault, language, place) for fault in faults[:SHOWN])[:LONGEST]


def _clause(fault: Mapping[str, Any], language: str, place: int) -> str:
    where = ".".join(map(str, fault["loc"][place:]))[:80] or str((*fault["loc"], "")[0])
    kind = _SAME.get(fault["type"], fault["type"])
    fields = {name: _plain(value) for name, value in (fault.get("ctx") or {}).items()}
    what = translate(f"api.fault.{kind}", language, **fields) if has(f"api.fault.{kind}") else str(fault["msg"])
    return translate("api.place", language, where=where, what=what)


def _plain(value: Any) -> str:
    """A bound without a needless ".0", a list of choices without pydantic's "or"."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("' or '", "', '").replace("'", "")
