"""Forecast beside outcome: the stored forecast of each date, and the return the bars show for the same days."""

import numpy as np
import pytest

from financial_model.market.store import Store
from financial_model.serving.outcomes import judged_symbols, outcomes
from financial_model.serving.runs import RunStore
from tests.serving.builders import SYMBOLS


@pytest.fixture
def store(finished):
    return Store(finished[0].data_dir)


def test_the_outcome_is_what_the_bars_say(finished, store):
    _, run = finished
    found, bars = outcomes(run, store, "600519.SH"), store.read_bars("600519.SH")
    close = (bars["close"] * bars["factor"]).to_numpy()
    dates = bars["date"].dt.strftime("%Y-%m-%d").tolist()
    place, horizon = dates.index(found["date"][0]), run.run_config().label.horizon
    assert found["actual"][0] == pytest.approx(close[place + horizon] / close[place] - 1)
    assert len(found["date"]) == len(found["predicted"]) == len(found["actual"]) and found["date"] == sorted(found["date"])
    assert np.isfinite(found["predicted"]).all()


def test_only_judged_stocks_are_offered(finished, store):
    _, run = finished
    assert judged_symbols(run) == sorted(SYMBOLS) and outcomes(run, store, "600999.SH") is None


def test_a_run_whose_test_was_not_opened_has_no_outcomes(copied, store):
    run = RunStore(copied.checkpoint_dir).list()[0]
    (run.path / "out_of_sample.npz").write_bytes(b"PK\x03\x04 torn")
    assert judged_symbols(run) == []
    (run.path / "out_of_sample.npz").unlink()
    assert judged_symbols(run) == [] and outcomes(run, store, SYMBOLS[0]) is None
