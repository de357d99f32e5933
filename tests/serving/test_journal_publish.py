"""Publishing: the whole pool or one stock, with the weights, the data and the moment; nobody can date a forecast back."""

from datetime import UTC, datetime

import numpy as np
import pytest

from financial_model.errors import ConfigError
from financial_model.serving.journal import Journal
from financial_model.serving.journal_publish import publish, publish_forecast, publish_ranking, sessions_late
from financial_model.serving.predictor import Predictor

EVENING = datetime(2024, 6, 28, 12, 0, tzinfo=UTC)


def test_a_pool_is_published_whole_with_what_it_was_made_from(copied):
    predictor = Predictor(copied)
    entry = publish(copied, "finished", predictor=predictor, now=EVENING)
    assert (entry["number"], entry["kind"], entry["as_of"], entry["days"], entry["stocks"]) == (1, "pool", "2024-06-28", 3, 8)
    assert entry["late"] == 0 and not entry["in_sample"] and not entry["synthetic"] and entry["published"] == "2024-06-28T12:00:00+00:00"
    assert entry["checkpoint"] == predictor.forecaster("finished").header["weights_hash"] and entry["data"]
    figures = Journal(copied).figures(entry)
    table = predictor.rank("finished", 0).set_index("symbol")
    assert figures["symbols"] == sorted(table.index)
    assert figures["expected"] == pytest.approx(table.loc[figures["symbols"], "expected_return"].tolist(), rel=1e-6)
    assert publish(copied, "finished", predictor=predictor, now=EVENING)["repeated"]


def test_a_part_of_the_pool_is_refused(copied):
    predictor = Predictor(copied)
    with pytest.raises(ConfigError) as caught:
        publish_ranking(copied, "finished", predictor.rank("finished", 3))
    assert caught.value.key == "journal.partial" and Journal(copied).entries() == []


def test_one_stock_is_published_with_its_path(copied):
    predictor = Predictor(copied)
    found = predictor.forecast("finished", "600519")
    entry = publish_forecast(copied, found, now=EVENING)
    figures = Journal(copied).figures(entry)
    assert entry["symbol"] == "600519.SH" and entry["stocks"] == 1 and len(figures["path"]) == 3
    assert figures["low_80"][0] == pytest.approx(found["table"][-1]["quantiles"]["q0.1"], rel=1e-5)


def test_a_forecast_of_the_past_is_marked(copied):
    entry = publish(copied, "finished", as_of="2024-06-20", now=EVENING)
    assert entry["late"] == 6
    back_dated = publish(copied, "finished", as_of="2024-06-21", now=datetime(2024, 6, 21, 12, 0, tzinfo=UTC))
    assert back_dated["late"] == 1, "the data itself knows a later session: a clock set back helps nobody"
    assert publish(copied, "finished", as_of="2023-12-01", now=EVENING)["in_sample"]


@pytest.mark.parametrize(("symbol", "now", "late"), [
    ("600519.SH", "2024-06-28T07:30:00+00:00", 0),  # 15:30 in Shanghai
    ("600519.SH", "2024-06-30T20:00:00+00:00", 0),  # Monday 04:00: not begun
    ("600519.SH", "2024-07-01T01:14:00+00:00", 0), ("600519.SH", "2024-07-01T01:15:00+00:00", 1),
    ("AAPL", "2024-07-01T13:29:00+00:00", 0), ("AAPL", "2024-07-01T13:30:00+00:00", 1), ("AAPL", "2024-07-05T01:00:00+00:00", 3),
])
def test_a_forecast_is_in_time_until_the_next_session_begins(symbol, now, late):
    assert sessions_late(symbol, "2024-06-28", datetime.fromisoformat(now)) == late


def test_what_is_not_a_number_is_no_figure():
    from financial_model.serving.journal_publish import _short
    assert _short(np.nan) is None and _short(np.float32(0.1)) == 0.1
