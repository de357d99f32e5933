"""Formula factors: a small language over bars and features, read by a parser of its own and never by Python's eval.

    rank(mean(close, 5) / close - 1)        corr(close, log(volume), 20)        if(returns > 0, volume, 0) / mean(volume, 20)

In: the text of a formula. Out: a tree of :class:`Number`, :class:`Column` and :class:`Call`, checked: known names, whole windows, no look ahead.
``str(tree)`` is the formula in its one canonical writing, which is also the feature's name, so a checkpoint explains itself. What the functions
compute stands in ``formula_functions.py``.

    condition:  a and b, a or b, not a, and  <  <=  >  >=  ==  !=   (1 where true, else 0)
    arithmetic: + - * / ^, unary minus, parentheses
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from financial_model.errors import ConfigError

LONGEST, DEEPEST = 2000, 60
"""Characters of a formula, and how deep it may be nested."""
WINDOW_LIMIT = 1000
"""Bars the longest window may have."""
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|[-+*/^<>(),]))")
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_LEVEL = {"or": 1, "and": 2, **dict.fromkeys(_COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6, "^": 8}
"""How tightly a sign between two terms binds; ``not`` has 3 and the unary minus 7."""
_NOT, _NEGATIVE = 3, 7


@dataclass(frozen=True, slots=True)
class Number:
    value: float

    def __str__(self) -> str:
        return f"{self.value:.12g}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the bars, or a registered feature."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Call:
    """A function or a sign with its arguments."""

    name: str
    arguments: tuple[Node, ...]

    def __str__(self) -> str:
        if self.name in _LEVEL:
            level = _LEVEL[self.name]
            left, right = (_inside(node, level + side * (self.name != "^")) for side, node in enumerate(self.arguments))
            return f"{left} {self.name} {right}"
        if self.name == "not":
            return f"not {_inside(self.arguments[0], _NOT)}"
        if self.name == "negative":
            return f"-{_inside(self.arguments[0], _NEGATIVE)}"
        return f"{self.name}({', '.join(map(str, self.arguments))})"


Node = Number | Column | Call


def _inside(node: Node, level: int) -> str:
    """A term as part of one that binds with ``level``: in parentheses where it binds less."""
    own = _LEVEL.get(node.name, {"not": _NOT, "negative": _NEGATIVE}.get(node.name, 9)) if isinstance(node, Call) else 9
    if isinstance(node, Number) and node.value < 0:
        own = _NEGATIVE
    return f"({node})" if own < level else str(node)


def looks_like_formula(name: str) -> bool:
    """Whether a feature's name is a formula: names of registered features are plain words."""
    return re.fullmatch(r"\w*", name) is None


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The checked tree of ``text``. ``ConfigError`` says what is wrong, and at which character."""
    from financial_model.features.formula_functions import check

    if len(text) > LONGEST:
        raise ConfigError("formula.too_long", length=len(text), limit=LONGEST)
    tree = _Parser(text).whole()
    for node in walk(tree):
        check(node, text)
    return tree


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, arguments first."""
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)
    yield node


class _Parser:
    """Precedence climbing over the tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.place = self.depth = 0

    def whole(self) -> Node:
        tree = self.term(0)
        if self.kind != "end":
            self.wrong("formula.expected", expected="+ - * / ^ < > )")
        return tree

    @property
    def kind(self) -> str:
        return self.tokens[self.place][0]

    @property
    def word(self) -> str:
        return self.tokens[self.place][1]

    def next(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1][1]

    def term(self, level: int) -> Node:
        """The longest term whose signs bind at least as tightly as ``level``."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise ConfigError("formula.too_deep", formula=_short(self.text), limit=DEEPEST)
        left = self.first()
        while self.kind in ("sign", "name") and (own := _LEVEL.get(self.word, -1)) >= max(level, 1):
            sign = self.next()
            left = Call(sign, (left, self.term(own + (sign != "^"))))
            if sign in _COMPARISONS and self.word in _COMPARISONS:
                self.wrong("formula.chained", sign=self.word)
        self.depth -= 1
        return left

    def first(self) -> Node:
        if self.kind == "number":
            return Number(float(self.next()))
        if self.word == "not":
            self.next()
            return Call("not", (self.term(_NOT),))
        if self.word == "-":
            self.next()
            inner = self.term(_NEGATIVE)
            return Number(-inner.value) if isinstance(inner, Number) else Call("negative", (inner,))
        if self.word == "+":
            self.next()
            return self.term(_NEGATIVE)
        if self.word == "(":
            self.next()
            inner = self.term(0)
            self.close()
            return inner
        if self.kind == "name" and self.word not in ("and", "or"):
            name = self.next()
            return self.call(name) if self.word == "(" else Column(name)
        return self.wrong("formula.expected", expected="number, column, function, (")

    def call(self, name: str) -> Node:
        self.next()
        arguments = [self.term(0)] if self.word != ")" else []
        while self.word == ",":
            self.next()
            arguments.append(self.term(0))
        self.close()
        return Call(name, tuple(arguments))

    def close(self) -> None:
        if self.word != ")":
            self.wrong("formula.expected", expected=")")
        self.next()

    def wrong(self, key: str, **fields: object) -> NoReturn:
        found = self.word or "…"
        raise ConfigError(key, formula=_short(self.text), place=self.tokens[self.place][2] + 1, found=found, **fields)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, word, position): number, name, sign; at last (end, "", length)."""
    place = 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise ConfigError("formula.character", formula=_short(text), place=place + 1, found=text[place])
        kind = str(found.lastgroup)
        yield kind, found[kind], found.start(kind)
        place = found.end()
    yield "end", "", len(text)


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."
