"""Which TDX hosts are worth asking: a host is good only if it returns fresh daily bars.

Ping, security count and list prove nothing: hosts that stopped serving bars still answer those.
In: addresses from the settings. Out: open connections. It knows no symbols beyond its two probes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from financial_model.errors import ConfigError, KairosError, Phrase, SourceError
from financial_model.market.sources.tdx_wire import TdxConnection

DEFAULT_HOSTS = ("59.36.5.11:7709", "117.34.114.14:7709", "218.6.170.47:7709")
"""Reported in public threads of September 2026 to serve bars to pytdx; settings replace them."""
PROBES = ((0, "000001"), (1, "600519"))
SURVEYED = 8
"""Hosts looked at in the same moment."""
FRESH_DAYS = 20
"""Ten sessions and the longest holiday, in calendar days."""


@dataclass(frozen=True, kw_only=True)
class TdxSettings:
    """How hosts are treated. ``packets``: which of the three set-up packets are sent (some hosts refuse clients that send the third)."""

    hosts: tuple[str, ...] = DEFAULT_HOSTS
    packets: tuple[int, ...] = (1, 2, 3)
    timeout: float = 5.0
    pause: float = 0.012
    """Seconds between two requests of one connection."""
    failures: int = 2
    """In a row, before a host is put aside."""
    aside: float = 300.0
    """Longest time in seconds that a host is put aside; the first time is one second, doubled each time it fails again."""
    patience: float = 30.0
    """Seconds a worker waits for a host that is put aside before it gives up."""
    attempts: int = 4
    """Tries per symbol over all hosts."""


def parse_host(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError("tdx.server_format", value=text[:60])
    return host, int(port)


@dataclass
class _Host:
    address: str
    failures: int = 0
    setbacks: int = 0
    aside_until: float = 0.0
    reason: KairosError | None = None


@dataclass
class HostPool:
    """Hands out connections to hosts that have just shown a fresh bar. Thread-safe; each connection belongs to one thread."""

    settings: TdxSettings
    today: Callable[[], np.datetime64] = lambda: np.datetime64("today")
    _hosts: list[_Host] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._hosts = [_Host(address) for address in self.settings.hosts]
        for host in self._hosts:
            parse_host(host.address)

    def acquire(self) -> TdxConnection:
        """An open, proven connection to the first usable host, waited for a while. ``SourceError`` with each host's reason when there is none."""
        deadline = time.monotonic() + self.settings.patience
        while True:
            connection = self._try_each()
            if connection is not None:
                return connection
            wait = min(host.aside_until for host in self._hosts) - time.monotonic() if self._hosts else float("inf")
            if time.monotonic() + wait > deadline:
                raise self.no_host()
            time.sleep(max(wait, 0.05))

    def _try_each(self) -> TdxConnection | None:
        for host in self._hosts:
            with self._lock:
                if host.aside_until > time.monotonic():
                    continue
            name, port = parse_host(host.address)
            connection = TdxConnection(name, port, timeout=self.settings.timeout, packets=self.settings.packets)
            try:
                connection.open()
                self.prove(connection)
                return connection
            except SourceError as error:
                connection.close()
                self.failed(connection, error, final=error.key in ("tdx.refused", "tdx.not_fresh"))
        return None

    def survey(self) -> list[dict[str, Any]]:
        """Every host asked at once, in the order of the settings: ``address``, ``seconds`` until it had shown fresh bars, or the ``error`` it failed
        with (each None where the other stands)."""
        with ThreadPoolExecutor(min(len(self._hosts), SURVEYED) or 1) as workers:
            return list(workers.map(self._look_at, [host.address for host in self._hosts]))

    def _look_at(self, address: str) -> dict[str, Any]:
        name, port = parse_host(address)
        connection = TdxConnection(name, port, timeout=self.settings.timeout, packets=self.settings.packets)
        began = time.monotonic()
        try:
            connection.open()
            self.prove(connection)
        except SourceError as error:
            return {"address": address, "seconds": None, "error": error}
        finally:
            connection.close()
        return {"address": address, "seconds": time.monotonic() - began, "error": None}

    def prove(self, connection: TdxConnection) -> None:
        """Raise ``SourceError`` unless the host returns a recent daily bar for both probes."""
        for market, code in PROBES:
            bars = connection.bars(market, code, 0, 2)
            newest = bars["time"][-1].astype("datetime64[D]") if len(bars) else None
            if newest is not None and newest >= self.today() - np.timedelta64(FRESH_DAYS, "D"):
                continue
            if connection.refusal:
                raise SourceError("tdx.refused", host=connection.address, words=connection.refusal)
            raise SourceError("tdx.not_fresh", host=connection.address, symbol=code, newest=str(newest or "-"))

    def failed(self, connection: TdxConnection, error: KairosError, *, final: bool = False) -> None:
        """Note a failure; after ``failures`` in a row the host is put aside for a while."""
        with self._lock:
            for host in self._hosts:
                if host.address == connection.address:
                    host.failures += 1
                    host.reason = error
                    if final or host.failures >= self.settings.failures:
                        host.aside_until = time.monotonic() + (self.settings.aside if final else min(self.settings.aside, 2.0**host.setbacks))
                        host.failures, host.setbacks = 0, host.setbacks + 1

    def worked(self, connection: TdxConnection) -> None:
        with self._lock:
            for host in self._hosts:
                if host.address == connection.address:
                    host.failures = host.setbacks = 0

    def no_host(self) -> SourceError:
        tried = [Phrase("tdx.tried", host=host.address, reason=_why(host.reason)) if host.reason else host.address for host in self._hosts]
        return SourceError("tdx.no_host", details=tried or "-")


def _why(error: KairosError) -> object:
    """What is wrong with a host in a few words; whoever reads it knows already which host."""
    if error.key == "tdx.refused":
        return Phrase("tdx.reason.refused", words=error.fields["words"])
    if error.key == "tdx.not_fresh":
        return Phrase("tdx.reason.not_fresh", newest=error.fields["newest"])
    return error.fields.get("reason", error)
