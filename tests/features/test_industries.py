"""What industries did of late: against pandas, nothing where nothing is known, and without a look ahead."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from financial_model.config import INDUSTRIES
from financial_model.features import registry
from financial_model.features.causality import looks_ahead
from tests.features.builders import random_market

OWN, ALL = [f"industry_return_{n}" for n in (1, 5, 20)], [f"{name}_return_5" for name in INDUSTRIES]


@pytest.fixture(scope="module")
def bars():
    """Fourteen stocks of finance and energy, two of telecom, one unknown."""
    market = random_market(17, 200, seed=5, extras=False)
    return replace(market, industries=(*market.industries[:14], "telecom", "telecom", ""))


def _by_pandas(bars, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"symbol": np.repeat(bars.symbols, np.diff(bars.offsets)), "time": bars.time, "close": np.log(bars.close * bars.factor),
                          "industry": np.repeat(bars.industries, np.diff(bars.offsets))})
    frame["return"] = frame.groupby("symbol", sort=False)["close"].diff()
    known = frame.dropna()
    daily = known.groupby(["time", "industry"])["return"].mean().unstack()
    few = known.groupby(["time", "industry"])["return"].count().unstack() < 3
    excess = daily.sub(known.groupby("time")["return"].mean(), axis=0).mask(few, 0.0).reindex(bars.market_time).fillna(0.0)
    return excess.rolling(n).sum()


def test_an_industry_is_the_mean_of_its_names_less_that_of_all(bars):
    values = registry.compute(bars, [*OWN, "finance_return_5", "energy_return_5"], workers=1)
    row = np.repeat(bars.industries, np.diff(bars.offsets))
    late = bars.time > bars.market_time[30]  # what stands before is the history's beginning
    for place, n in enumerate((1, 5, 20)):
        expected = _by_pandas(bars, n).reindex(bars.time)
        for name in ("finance", "energy"):
            here = late & (row == name)
            np.testing.assert_allclose(values[here, place], expected[name].to_numpy()[here], atol=2e-7)
    for place, name in enumerate(("finance", "energy"), start=3):
        np.testing.assert_allclose(values[late, place], _by_pandas(bars, 5).reindex(bars.time)[name].to_numpy()[late], atol=2e-7)
    assert np.ptp(values[late, 3]) > 0.01


def test_nothing_where_few_or_no_industries_are_known(bars):
    values = registry.compute(bars, [*OWN, *ALL], workers=1)
    row = np.repeat(bars.industries, np.diff(bars.offsets))
    assert not values[np.isin(row, ("telecom", "")), :3].any() and not values[:, 3 + INDUSTRIES.index("telecom")].any()
    assert not registry.compute(replace(bars, industries=()), [*OWN, *ALL], workers=1).any()


def test_later_bars_change_no_earlier_value(bars):
    assert looks_ahead(bars, [registry.get(name) for name in (*OWN, *ALL)]) == ()
