"""Uploaded bars: read as the importer reads, forecast as a loaded model does, and gone afterwards."""

import pytest

from financial_model.errors import ConfigError, DataError
from financial_model.serving.custom import forecast_file
from financial_model.serving.predictor import Predictor
from tests.serving.builders import bars, trading_days


def table(folder, name="mine.csv", days=120, seed=50):
    path = folder / name
    bars(seed, trading_days(days)).to_csv(path, index=False)
    return path


def test_a_table_is_forecast_and_nothing_enters_the_store(finished, tmp_path):
    workspace, run = finished
    before = set(Predictor(workspace)._store().symbols("all")["symbol"])
    found = forecast_file(workspace, run.id, table(tmp_path), symbol="600111", industry="energy")
    assert set(found["table"]["symbol"]) == {"600111.SH"} and list(found["table"]["day"]) == [1, 2, 3] and found["rows"] == 120
    assert set(Predictor(workspace)._store().symbols("all")["symbol"]) == before


def test_its_figures_are_those_of_the_model_on_the_same_bars(finished, tmp_path):
    workspace, run = finished
    found = forecast_file(workspace, run.id, table(tmp_path, "600111.csv"))
    own = bars(50, trading_days(120))
    expected = Predictor(workspace).forecaster(run.id).predict(own.assign(symbol="600111.SH"))
    assert found["table"]["expected_return"].to_numpy() == pytest.approx(expected["expected_return"].to_numpy(), abs=1e-6)


def test_a_figure_gets_candles_and_a_fan_that_start_at_the_last_bar(finished, tmp_path):
    workspace, run = finished
    drawn = forecast_file(workspace, run.id, table(tmp_path, "600111.csv"))["stocks"]["600111.SH"]
    assert drawn["as_of"] == drawn["history"]["date"][-1] and drawn["price"] == drawn["history"]["close"][-1]
    assert all(low < high for low, high in zip(drawn["fan"]["80"]["low"], drawn["fan"]["80"]["high"], strict=True))


def test_a_file_that_says_no_stock_is_refused_with_one_sentence_until_it_is_told(finished, tmp_path):
    workspace, run = finished
    with pytest.raises(DataError) as caught:
        forecast_file(workspace, run.id, table(tmp_path, "table.csv"))
    assert caught.value.key == "serving.custom_no_symbol"


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickle", b"a,b\n1,2\n", b"date,open,high,low,close,volume\n2024-01-02,=1+1,x,y,z,w\n"])
def test_what_is_no_table_of_bars_is_refused(finished, tmp_path, content):
    workspace, run = finished
    path = tmp_path / "600111.csv"
    path.write_bytes(content)
    with pytest.raises(DataError):
        forecast_file(workspace, run.id, path)


def test_more_days_than_trained_and_a_short_history_are_refused(finished, tmp_path):
    workspace, run = finished
    with pytest.raises(ConfigError):
        forecast_file(workspace, run.id, table(tmp_path, "600111.csv"), days=30)
    with pytest.raises(DataError):
        forecast_file(workspace, run.id, table(tmp_path, "600111.csv", days=5))
