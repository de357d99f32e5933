"""Rows of bars in one compiled pass: are they beyond reproach, what is said of all of them, and what is the checksum of a file of them?

In: columns of one symbol, or bytes. Out: yes or no, or numbers. A yes means that no check of ``market.bars`` would change or refuse anything;
after a no those checks say what it is. It knows no lines, no units and no errors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import NDArray

_compiled = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
U = np.uint64
_PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH = map(np.uint64, _PRIMES)


def faultless(seconds: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]], earliest: int, latest: int) -> bool:
    """True when the times ascend between ``earliest`` and ``latest``, every price is positive and finite with open and close inside high and low, and
    volume is a finite number of at least 0; ``amount`` too or NaN, ``factor`` positive, where they are there."""
    nothing = np.empty(0)
    return len(seconds) > 0 and bool(_faultless(
        seconds, earliest, latest, columns["open"], columns["high"], columns["low"], columns["close"], columns["volume"],
        columns.get("amount", nothing), columns.get("factor", nothing)))


@_compiled
def _faultless(seconds, earliest, latest, opened, high, low, close, volume, amount, factor):
    good = seconds[0] >= earliest and seconds[-1] <= latest
    for row in range(1, seconds.size):
        good &= seconds[row] > seconds[row - 1]
    for row in range(seconds.size):
        good &= (low[row] > 0) & (low[row] <= opened[row]) & (low[row] <= close[row]) & (opened[row] <= high[row]) & (close[row] <= high[row])
        good &= (high[row] < np.inf) & (volume[row] >= 0) & (volume[row] < np.inf)
    for row in range(amount.size):
        good &= not (amount[row] < 0 or amount[row] == np.inf)
    for row in range(factor.size):
        good &= (factor[row] > 0) & (factor[row] < np.inf)
    return good


def shortest_step(seconds: NDArray[np.int64]) -> int:
    """The smallest difference of neighbours; there are two at least."""
    return int(_shortest_step(seconds))


@_compiled
def _shortest_step(seconds):
    least = seconds[1] - seconds[0]
    for row in range(2, seconds.size):
        least = min(least, seconds[row] - seconds[row - 1])
    return least


def whole_cents(close: NDArray[np.float64]) -> int:
    """How many prices are whole cents, to a millionth of the price."""
    return int(_whole_cents(close))


@_compiled
def _whole_cents(close):
    count = 0
    for row in range(close.size):
        count += abs(close[row] - np.rint(close[row] * 100.0) / 100.0) <= 1e-6 * close[row]
    return count


def extreme_ratios(close: NDArray[np.float64], factor: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest ratio of an adjusted close to the one before; (1, 1) for a single row."""
    least, most = _extreme_ratios(close, factor)
    return float(least), float(most)


@_compiled
def _extreme_ratios(close, factor):
    least, most = np.inf, -np.inf
    for row in range(1, close.size):
        ratio = (close[row] * factor[row]) / (close[row - 1] * factor[row - 1])
        least, most = min(least, ratio), max(most, ratio)
    return (least, most) if close.size > 1 else (1.0, 1.0)


def checksum(content: bytes | memoryview) -> str:
    """XXH64 of ``content``, seed 0, as 16 hexadecimal digits: tells whether a file is another one, at the speed of memory, and proves nothing else.

    Source: the xxHash fast digest algorithm, format specification 0.1.1, Yann Collet.
    """
    data = np.frombuffer(content, np.uint8)
    whole = len(content) // 8
    return f"{int(_xxh64(data[: 8 * whole].view(np.uint64), data)):016x}"


@_compiled
def _turned(word, bits):
    return word << U(bits) | word >> U(64 - bits)


@_compiled
def _round(lane, word):
    return _turned(lane + word * _SECOND, 31) * _FIRST


@_compiled
def _xxh64(words, data):
    first, second, third, fourth = _FIRST + _SECOND, _SECOND, U(0), U(0) - _FIRST
    at = 0
    for _ in range(words.size // 4):
        first, second = _round(first, words[at]), _round(second, words[at + 1])
        third, fourth = _round(third, words[at + 2]), _round(fourth, words[at + 3])
        at += 4
    value = _FIFTH
    if at:
        value = _turned(first, 1) + _turned(second, 7) + _turned(third, 12) + _turned(fourth, 18)
        for lane in (first, second, third, fourth):
            value = (value ^ _round(U(0), lane)) * _FIRST + _FOURTH
    value += U(data.size)
    for word in words[at:]:
        value = _turned(value ^ _round(U(0), word), 27) * _FIRST + _FOURTH
    at = 8 * words.size
    if data.size - at >= 4:
        half = U(data[at]) | U(data[at + 1]) << U(8) | U(data[at + 2]) << U(16) | U(data[at + 3]) << U(24)
        value = _turned(value ^ half * _FIRST, 23) * _SECOND + _THIRD
        at += 4
    for byte in data[at:]:
        value = _turned(value ^ U(byte) * _FIFTH, 11) * _FIRST
    value = (value ^ value >> U(33)) * _SECOND
    value = (value ^ value >> U(29)) * _THIRD
    return value ^ value >> U(32)
