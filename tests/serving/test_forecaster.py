"""One checkpoint file forecasts anywhere, and says the same as where it was trained."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from financial_model.datasets.panel import build_panel, open_panel
from financial_model.datasets.windows import window_ends
from financial_model.errors import CheckpointError, ConfigError, DataError, NotFoundError
from financial_model.market.store import Store
from financial_model.serving import forecaster as module
from financial_model.serving.experiment import run_training
from financial_model.serving.forecaster import load
from tests.serving.builders import SYMBOLS, bars, tiny, trading_days

ROOT = Path(module.__file__).parents[2]


@pytest.fixture(scope="module")
def path(finished):
    return finished[1].path / "final.safetensors"


@pytest.fixture(scope="module")
def loaded(path):
    return load(path)


@pytest.fixture(scope="module")
def pool(finished):
    """The bars of all eight stocks as one table."""
    store = Store(finished[0].data_dir)
    return pd.concat([store.read_bars(symbol).assign(symbol=symbol) for symbol in SYMBOLS], ignore_index=True)


def notes(found):
    return {note["key"].removeprefix("serving.") for note in found}


# ---------------------------------------------------------------- the table
def test_one_row_a_day_and_one_column_a_quantile(loaded):
    table = loaded.predict(bars(3, trading_days(100)), horizon=3)
    levels = [f"q{level:g}" for level in (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)]
    assert list(table.columns) == ["day", "date", "expected_return", "price", "p_up", *levels]
    assert table["day"].tolist() == [1, 2, 3] and [str(date)[:10] for date in table["date"]] == ["2024-07-01", "2024-07-02", "2024-07-03"]
    assert (np.diff(table[levels].to_numpy(), axis=1) >= 0).all() and table["p_up"].between(0, 1).all()
    close = bars(3, trading_days(100))["close"].iloc[-1]
    assert table["price"].to_numpy() == pytest.approx(close * np.exp(table["q0.5"].to_numpy()))


def test_fewer_days_are_the_first_of_them(loaded):
    frame = bars(3, trading_days(100))
    pd.testing.assert_frame_equal(loaded.predict(frame, 1), loaded.predict(frame).head(1))


@pytest.mark.parametrize("days", [4, 30])
def test_never_beyond_the_trained_horizon(loaded, days):
    with pytest.raises(ConfigError, match="trained for 3 days"):
        loaded.predict(bars(3, trading_days(100)), days)


@pytest.mark.parametrize("days", [0, -1])
def test_at_least_one_day(loaded, days):
    with pytest.raises(ConfigError):
        loaded.predict(bars(3, trading_days(100)), days)


# ---------------------------------------------------------------- the same numbers everywhere
def test_several_stocks_get_what_the_panel_of_the_run_gives(loaded, finished, pool):
    """Ranks and normalisation in memory are those of the training; what remains unknown here is the condition, so it is given."""
    workspace, run = finished
    panel = open_panel(build_panel(workspace, run.run_config()))
    last = panel.offsets[1:] - 1
    inside = loaded.predict_panel(panel, last)
    regime = panel.conditions[last[0], 5]
    from financial_model.config import CONDITIONS, INDUSTRIES

    given = {symbol: {"industry": INDUSTRIES[panel.conditions[row, 0]], "regime": CONDITIONS["regime"][regime]}
             for symbol, row in zip(panel.symbols, last, strict=True)}
    outside = loaded.predict_quantiles(pool, conditions=given)
    order = [outside.symbols.index(symbol) for symbol in panel.symbols]
    np.testing.assert_allclose(outside.quantiles[order], inside.quantiles, rtol=0, atol=1e-6)


def test_before_saving_and_after_loading_in_a_fresh_process_the_numbers_are_identical(path, loaded, tmp_path):
    """The file alone, in another folder, in another process, without a store."""
    shutil.copy(path, tmp_path / "model.safetensors")
    frame = bars(5, trading_days(120))
    frame.to_parquet(tmp_path / "bars.parquet")
    script = ("import json, sys, pandas, torch, financial_model; torch.set_num_threads(1)\n"
              "found = financial_model.load('model.safetensors').predict_quantiles(pandas.read_parquet('bars.parquet'))\n"
              "print(json.dumps([found.quantiles.tolist(), found.expected.tolist()]))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)
    here = loaded.predict_quantiles(frame)
    assert json.loads(done.stdout) == [here.quantiles.tolist(), here.expected.tolist()]


@pytest.mark.parametrize("settings", [{"objective": "mse"}, {"objective": "cross_entropy"}, {"condition": "film"}])
def test_every_head_and_condition_loads_to_the_numbers_it_had(filled, settings):
    """The model that has just been trained, against its file."""
    run = run_training(filled, tiny(epochs=1, **settings))
    first, second = (load(run.path / "final.safetensors") for _ in range(2))
    panel = open_panel(build_panel(filled, run.run_config()))
    ends = window_ends(panel, 0, 2**40, first.context_length, first.horizon, labelled=False)[::50]
    one, other = first.predict_panel(panel, ends), second.predict_panel(panel, ends)
    assert np.array_equal(one.quantiles, other.quantiles) and np.array_equal(one.expected, other.expected)
    alone = first.predict_panel(panel, ends[:1])
    np.testing.assert_allclose(alone.quantiles, one.quantiles[:1], rtol=0, atol=1e-6)


def test_a_stock_is_forecast_the_same_whatever_stands_beside_it(loaded, pool):
    """Order and company of the stocks change nothing but rounding, as long as the ranks are among the same names."""
    forward = loaded.predict_quantiles(pool)
    backward = loaded.predict_quantiles(pd.concat([pool[pool["symbol"] == symbol] for symbol in SYMBOLS[::-1]]))
    order = [backward.symbols.index(symbol) for symbol in forward.symbols]
    np.testing.assert_allclose(backward.quantiles[order], forward.quantiles, rtol=0, atol=1e-6)


def test_later_bars_change_no_earlier_forecast(loaded):
    whole = bars(5, trading_days(120))
    cut = whole.iloc[:-10]
    noise = whole.copy()
    noise.loc[noise.index[-10:], ["open", "high", "low", "close"]] *= 3
    np.testing.assert_array_equal(loaded.predict_quantiles(cut).quantiles, loaded.predict_quantiles(noise.iloc[:-10]).quantiles)


def test_the_price_level_does_not_matter(loaded):
    """A hundredth of the shares at a hundred times the price: the same money, the same forecast."""
    frame = bars(5, trading_days(120))
    dear = frame.assign(volume=frame["volume"] / 100, **{column: frame[column] * 100 for column in ("open", "high", "low", "close")})
    np.testing.assert_allclose(loaded.predict_quantiles(dear).quantiles, loaded.predict_quantiles(frame).quantiles, rtol=0, atol=1e-6)


# ---------------------------------------------------------------- what is approximate is said
def test_a_stock_alone_is_ranked_by_the_training_data_and_says_so(loaded):
    found = loaded.predict_quantiles(bars(3, trading_days(100)))
    assert "note_rank_alone" in notes(found.notes)


def test_the_rank_of_a_stock_alone_means_something(loaded, pool):
    """Its forecasts over the last weeks go with those it gets among the others, better than with the middle rank for everyone."""
    frame = pool[pool["symbol"] == SYMBOLS[2]].drop(columns="symbol").reset_index(drop=True)
    bare = load_without_reference(loaded)
    among, alone, middle = [], [], []
    for cut in range(1, 40):
        sliced = pool.groupby("symbol", sort=False).head(300 - cut)
        found = loaded.predict_quantiles(sliced)
        among.append(found.expected[found.symbols.index(SYMBOLS[2]), -1])
        alone.append(loaded.predict_quantiles(frame.iloc[:300 - cut]).expected[0, -1])
        middle.append(bare.predict_quantiles(frame.iloc[:300 - cut]).expected[0, -1])
    assert np.corrcoef(among, alone)[0, 1] > 0.7
    assert np.abs(np.subtract(among, alone)).mean() < np.abs(np.subtract(among, middle)).mean()


def load_without_reference(loaded):
    header = {**loaded.header, "extras": {name: value for name, value in loaded.header["extras"].items() if name != "rank_reference"}}
    return module.LoadedForecaster(loaded.model, header)


def test_without_a_reference_the_rank_is_the_middle_and_says_so(loaded):
    found = load_without_reference(loaded).predict_quantiles(bars(3, trading_days(100)))
    assert "note_rank_unknown" in notes(found.notes) and "note_rank_alone" not in notes(found.notes)


def test_unknown_conditions_are_said_and_given_ones_matter(loaded):
    frame = bars(3, trading_days(100))
    unknown = loaded.predict_quantiles(frame)
    given = loaded.predict_quantiles(frame, conditions={"industry": "technology", "regime": "bear"})
    assert "note_condition_unknown" in notes(unknown.notes) and "note_condition_unknown" not in notes(given.notes)
    assert not np.array_equal(unknown.quantiles, given.quantiles)


@pytest.mark.parametrize("given", [{"industry": "shoes"}, {"weather": "rain"}, {"regime": "up"}])
def test_a_condition_that_does_not_exist_is_named(loaded, given):
    with pytest.raises(ConfigError, match="choose one of"):
        loaded.predict(bars(3, trading_days(100)), conditions=given)


def test_young_stocks_are_left_out_and_named(loaded, pool):
    young = bars(9, trading_days(12)).assign(symbol="301999.SZ")
    found = loaded.predict_quantiles(pd.concat([pool, young], ignore_index=True))
    assert "301999.SZ" not in found.symbols and len(found.symbols) == 8
    assert found.notes[-1]["fields"]["symbols"] == "301999.SZ"


# ---------------------------------------------------------------- bad input
def test_too_short_a_history_says_how_much_is_needed(loaded):
    with pytest.raises(DataError, match="needs 8 bars"):
        loaded.predict(bars(3, trading_days(9)))


@pytest.mark.parametrize("damage, sentence", [
    (lambda frame: frame.drop(columns="close"), "close"), (lambda frame: frame.assign(high=frame["low"] * 0.5), "high"),
    (lambda frame: frame.iloc[:0], "no"), (lambda frame: frame.assign(close="x"), "close")])
def test_bad_bars_are_refused_with_a_sentence(loaded, damage, sentence):
    with pytest.raises(DataError, match=sentence):
        loaded.predict(damage(bars(3, trading_days(60))))


def test_what_is_no_table_is_refused(loaded):
    with pytest.raises(DataError, match="DataFrame"):
        loaded.predict([1, 2, 3])


def test_files_that_are_no_checkpoints_are_refused(tmp_path, path):
    with pytest.raises(NotFoundError):
        load(tmp_path / "absent.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    for name in ("cut", "pickle", "empty"):
        with pytest.raises(CheckpointError):
            load(tmp_path / f"{name}.safetensors")
