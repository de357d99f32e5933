"""The whole list on real bars: dividends, suspensions, limit-ups and gaps as they come."""

import numpy as np
import pandas as pd
import pytest

from financial_model.config import FEATURE_GROUPS
from financial_model.features import registry
from financial_model.features.causality import looks_ahead
from tests.features.builders import pack

pytestmark = pytest.mark.real
ALL = registry.names(FEATURE_GROUPS)


@pytest.fixture(scope="module")
def bars(real_data):
    frame = pd.read_parquet(real_data / "a_share_daily_unadjusted" / "all.parquet")
    table = {}
    for symbol in sorted(frame["symbol"].unique())[::12]:
        own = frame[frame["symbol"] == symbol]
        close, before = own["close"].to_numpy(float), own["preclose"].to_numpy(float)
        factor = np.concatenate([[1.0], np.cumprod(close[:-1] / before[1:])])  # the exchange's own reference close carries every event
        table[symbol] = {
            "time": own["date"].to_numpy().astype("datetime64[s]").astype(np.int64), "factor": factor,
            **{name: own[name].to_numpy(float) for name in ("open", "high", "low", "close", "amount")},
            "volume": own["volume"].fillna(0).to_numpy(float), "turnover": own["turnover_pct"].to_numpy(float), "pb": own["pb_mrq"].to_numpy(float)}
    return pack(table)


def test_every_feature_is_finite_and_of_a_sane_size(bars):
    values = registry.compute(bars, ALL)
    assert len(bars.symbols) >= 15 and not np.isinf(values).any()
    for s, symbol in enumerate(bars.symbols):
        assert np.isfinite(values[bars.offsets[s] + 252:bars.offsets[s + 1]]).all(), symbol
    largest = {name: float(np.nanmax(np.abs(values[:, i]))) for i, name in enumerate(ALL)}
    assert {name: size for name, size in largest.items() if size > 50} == {}


def test_ex_days_do_not_look_like_crashes(bars):
    """With the exchange's reference close no single day moves beyond the widest limit, 20 %."""
    change = registry.compute(bars, ["return_1"])[:, 0]
    raw = np.concatenate([[np.nan], np.diff(np.log(bars.close))])
    raw[bars.offsets[:-1]] = np.nan
    assert np.log(0.795) < np.nanmin(change) and np.nanmax(change) < np.log(1.205)
    assert np.nanmin(raw) < np.log(0.79), "unadjusted, some ex-days do"


def test_no_feature_looks_ahead_on_real_bars(bars):
    assert looks_ahead(bars, list(registry.features().values())) == ()
