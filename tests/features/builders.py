"""Small markets for tests of the features layer: PackedBars made of a seeded random walk, or of columns written by hand."""

import numpy as np

from financial_model.market.bars import PackedBars

DAY = 86_400


def weekdays(count: int, start: str = "2018-01-01") -> np.ndarray:
    """int64 seconds of ``count`` weekdays."""
    days = np.busday_offset(np.datetime64(start, "D"), np.arange(count), roll="forward")
    return days.astype("datetime64[s]").astype(np.int64)


def pack(columns: dict[str, dict[str, np.ndarray]], *, market=None, industries: tuple[str, ...] = ()) -> PackedBars:
    """PackedBars from symbol -> columns; needs ``time`` and ``close``, fills the rest in plausibly."""
    parts = []
    for own in columns.values():
        close = np.asarray(own["close"], np.float64)
        n = len(close)
        full = {"open": close, "high": close, "low": close, "volume": np.full(n, 1e6), "amount": np.full(n, np.nan), "factor": np.ones(n), **own,
                "close": close}
        full["high"] = np.maximum.reduce([full["high"], full["open"], close])
        full["low"] = np.minimum.reduce([full["low"], full["open"], close])
        parts.append(full)
    core = ("open", "high", "low", "close", "volume", "amount", "factor")
    extras = sorted({name for part in parts for name in part} - {*core, "time"})
    extra = {name: np.concatenate([part.get(name, np.full(len(part["close"]), np.nan)) for part in parts]) for name in extras}
    time = np.concatenate([part["time"] for part in parts])
    if market is None:
        days = np.unique(time)
        level = np.zeros(len(days))
        count = np.zeros(len(days))
        for part in parts:
            at = np.searchsorted(days, part["time"])
            level[at[1:]] += np.diff(np.log(part["close"] * part["factor"]))
            count[at[1:]] += 1
        market = (days, 1000.0 * np.exp(np.cumsum(level / np.maximum(count, 1))))
    values = {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in core}
    extra["tradable"] = (values["volume"] > 0).astype(np.float64)
    return PackedBars(symbols=tuple(columns), offsets=np.concatenate([[0], np.cumsum([len(p["close"]) for p in parts])]).astype(np.int64),
                      time=time.astype(np.int64), extra=extra, market_time=market[0], market_close=market[1], market_name="equal_weight",
                      industries=industries, **values)


def walk(generator: np.random.Generator, n: int, *, daily: float = 0.02) -> dict[str, np.ndarray]:
    """One stock's random walk: open, high, low, close, volume, amount and a factor with one 2-for-1 split in the middle."""
    close = 10.0 * np.exp(np.cumsum(generator.normal(0, daily, n)))
    open_ = np.concatenate([[close[0]], close[:-1]]) * np.exp(generator.normal(0, daily / 3, n))
    high = np.maximum(open_, close) * np.exp(np.abs(generator.normal(0, daily / 3, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(generator.normal(0, daily / 3, n)))
    volume = np.round(1e6 * np.exp(generator.normal(0, 0.5, n)))
    factor = np.where(np.arange(n) >= n // 2, 2.0, 1.0)
    prices = {"open": open_ / factor, "high": high / factor, "low": low / factor, "close": close / factor}
    return {**prices, "volume": volume * factor, "amount": volume * close, "factor": factor}


def random_market(symbols: int = 8, rows: int = 320, seed: int = 0, *, extras: bool = True, suffix: str = ".SH") -> PackedBars:
    """A universe of random walks on weekdays: unequal starts, a suspension, and (``extras``) shares, turnover and book value."""
    generator = np.random.default_rng(seed)
    time = weekdays(rows)
    table = {}
    for s in range(symbols):
        n = rows - 17 * (s % 4)
        own = walk(generator, n)
        own["time"] = time[rows - n:]
        if s % 5 == 1 and n > 40:  # suspended: flat bars without volume
            for name in ("open", "high", "low", "close"):
                own[name][n // 3: n // 3 + 12] = own["close"][n // 3 - 1]
            own["volume"][n // 3: n // 3 + 12] = 0.0
            own["amount"][n // 3: n // 3 + 12] = 0.0
        if extras:
            shares = np.full(n, 10 ** generator.uniform(8, 10)) * own["factor"]
            own |= {"total_shares": shares, "turnover": own["volume"] / shares, "book_per_share": own["close"] * generator.uniform(0.2, 2)}
        table[f"{600000 + s}{suffix}"] = own
    return pack(table, industries=tuple(("finance", "energy")[s % 2] for s in range(symbols)))
