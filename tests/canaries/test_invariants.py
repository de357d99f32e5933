"""What must never change: yesterday's numbers when there is more test, more data or more company; and what must never be missing: the reason."""

import shutil

import numpy as np
import pytest
import torch

from financial_model.config import BACKBONES, CONDITION_MODES, HEADS
from financial_model.datasets.panel import build_panel, open_panel
from financial_model.datasets.splits import seconds
from financial_model.errors import KairosError
from financial_model.evaluation.backtest import BacktestSettings, run_backtest
from financial_model.evaluation.evaluate import evaluate
from financial_model.evaluation.market_days import MarketDays, market_days, scores
from financial_model.market.packing import pack
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.experiment import evaluate_run, run_training
from financial_model.serving.forecaster import load
from financial_model.serving.pieces import pieces
from financial_model.serving.predictor import Predictor
from financial_model.text import has
from financial_model.training.checkpoint import load_checkpoint
from tests.serving.builders import fill_store, tiny, workspace_in

EARLIER = {"days": 300, "last": "2024-06-28"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(workspace, panel, the one piece of a finished run) on eight stocks; the model reads ranks, market columns and conditions."""
    folder = tmp_path_factory.mktemp("invariants")
    workspace = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
    fill_store(workspace, **EARLIER)
    run = run_training(workspace, tiny("fixed", groups="return,volatility,rank,market,alpha", condition="film", epochs=1))
    panel = open_panel(build_panel(workspace, run.run_config()))
    return workspace, panel, pieces(run.path / "final.safetensors", panel)[0]


@pytest.fixture(scope="module")
def a_day_later(trained, tmp_path_factory):
    """The panel of the same settings once every stock has one more bar; the old bars are the same files with one line more."""
    before, _, piece = trained
    folder = tmp_path_factory.mktemp("later")
    workspace = Workspace(data_dir=folder / "data", checkpoint_dir=before.checkpoint_dir)
    shutil.copytree(before.data_dir, workspace.data_dir)
    store = Store(workspace.data_dir)
    for number, symbol in enumerate(store.symbols("stock")["symbol"]):
        frame = store.read_bars(symbol)
        fresh = frame.iloc[[-1]].copy()
        fresh["date"] = np.datetime64("2024-07-01")
        for column in ("open", "high", "low", "close"):
            fresh[column] = fresh[column] * (1.09 if number % 2 else 0.92)
        store.write_bars(symbol, type(frame)(data={name: np.concatenate([frame[name].to_numpy(), fresh[name].to_numpy()]) for name in frame}),
                         source="files")
    return workspace, open_panel(build_panel(workspace, piece.config))


def checkpoint_of(workspace):
    return next(workspace.checkpoint_dir.glob("fixed_*")) / "final.safetensors"


def rows_in(later, panel):
    """For each row of ``panel`` the row of the same stock and time in ``later``."""
    found = [later.offsets[later.symbols.index(symbol)] + np.arange(panel.offsets[i + 1] - panel.offsets[i])
             for i, symbol in enumerate(panel.symbols)]
    return np.concatenate(found)


# ---------------------------------------------------------------- a longer test changes no earlier day
def test_a_longer_test_range_changes_no_earlier_day_of_the_evaluation(trained):
    _, panel, piece = trained
    first, last = (seconds(piece.split["test"][end]) for end in ("first", "last"))
    middle = first + (last - first) // 2
    long, short = piece.test, piece.test[panel.time[piece.test] <= middle]
    whole, part = (evaluate(piece.model.predict_panel(panel, ends), panel, piece.config) for ends in (long, short))
    days = len(part["series"]["time"])
    assert 10 < days < len(whole["series"]["time"])
    for name in ("time", "ic", "rank_ic", "direction"):
        assert whole["series"][name][:days] == part["series"][name]


def test_a_longer_test_range_changes_no_earlier_day_of_the_backtest(trained):
    workspace, panel, piece = trained
    prediction = piece.model.predict_panel(panel, piece.test)
    bars = pack(Store(workspace.data_dir), panel.symbols)
    first, last = int(panel.time[piece.test].min()), int(panel.time.max())
    books = []
    for end in (last, first + (last - first) // 2):
        days = market_days(bars, first=first, last=end)
        books.append(run_backtest(days, scores(prediction, panel, days), BacktestSettings(top=3, drop=1)))
    long, short = books
    assert 5 < len(short.equity) < len(long.equity)
    np.testing.assert_array_equal(long.equity[: len(short.equity)], short.equity)
    assert [trade for trade in long.trades if trade.day < short.first + len(short.equity)] == short.trades


# ---------------------------------------------------------------- one more day changes no earlier number
def test_one_more_day_changes_no_earlier_number_of_the_panel(trained, a_day_later):
    _, panel, _ = trained
    later = a_day_later[1]
    rows = rows_in(later, panel)
    assert later.rows == panel.rows + len(panel.symbols)
    for name in ("values", "time", "conditions", "ranks", "prices", "volatility", "valid", "tradable"):
        np.testing.assert_array_equal(getattr(later, name)[rows], getattr(panel, name), err_msg=name)


def test_one_more_day_changes_no_earlier_forecast(trained, a_day_later):
    _, panel, piece = trained
    later = a_day_later[1]
    ends = np.concatenate([piece.test, piece.validation[:50]])
    before = piece.model.predict_panel(panel, ends)
    after = piece.model.predict_panel(later, rows_in(later, panel)[ends])
    np.testing.assert_array_equal(before.expected, after.expected)
    np.testing.assert_array_equal(before.quantiles, after.quantiles)


def test_one_more_day_changes_nothing_about_training_and_validation_of_a_finished_run(trained, a_day_later):
    piece = trained[2]
    later = pieces(checkpoint_of(trained[0]), a_day_later[1])[0]
    assert {name: later.split[name] for name in ("train", "validation")} == {name: piece.split[name] for name in ("train", "validation")}
    assert later.split["test"]["first"] == piece.split["test"]["first"] and later.split["test"]["last"] == "2024-07-01"


# ---------------------------------------------------------------- the test part has no say in the model
def test_a_test_part_of_noise_changes_no_bit_of_what_was_learned(trained, tmp_path):
    """Weights, scaler, residuals, ranks' reference, the inputs' usual range, validation figures, recalibration: all from before the test."""
    workspace, _, piece = trained
    here, last = workspace_in(tmp_path), np.datetime64(piece.split["validation"]["last"])
    shutil.copytree(workspace.data_dir, here.data_dir)
    store, random = Store(here.data_dir), np.random.default_rng(7)
    for symbol in store.symbols("stock")["symbol"]:
        frame = store.read_bars(symbol)
        late = frame["date"].to_numpy() > last
        noise = random.uniform(0.5, 200, late.sum())
        for column, share in (("open", 0.9), ("high", 1.3), ("low", 0.5), ("close", 1.0)):
            frame.loc[late, column] = share * noise
        frame.loc[late, "volume"], frame.loc[late, "factor"] = random.integers(0, 9_000_000, late.sum()), 3.0
        store.write_bars(symbol, frame, source="files")
    run_training(here, piece.config)
    (before, known), (after, found) = (load_checkpoint(checkpoint_of(folder)) for folder in (workspace, here))
    for name, weights in before.state_dict().items():
        assert torch.equal(weights, after.state_dict()[name]), name
    for name in ("table", "label_scale", "extras", "validation", "training", "recalibration", "split"):
        assert known[name] == found[name], name
    assert known["metrics"] != found["metrics"]


# ---------------------------------------------------------------- alone as in company
def test_a_stocks_forecast_alone_equals_the_one_in_a_batch(trained):
    _, panel, piece = trained
    ends = piece.test[:: max(1, len(piece.test) // 60)]
    together = piece.model.predict_panel(panel, ends)
    for place in range(0, len(ends), 7):
        alone = piece.model.predict_panel(panel, ends[place:place + 1])
        np.testing.assert_allclose(alone.expected[0], together.expected[place], rtol=1e-5, atol=1e-8)
    backwards = piece.model.predict_panel(panel, ends[::-1].copy())
    np.testing.assert_allclose(backwards.expected[::-1], together.expected, rtol=1e-5, atol=1e-8)


def test_the_page_of_one_stock_says_what_the_pool_says(trained):
    predictor = Predictor(trained[0])
    pool = predictor.rank("fixed", 0).set_index("symbol")
    for symbol in list(pool.index)[:3]:
        single = predictor.forecast("fixed", symbol)
        assert single["table"][-1]["expected_return"] == pytest.approx(pool.loc[symbol, "expected_return"], rel=1e-5, abs=1e-8)
        assert single["as_of"] == "2024-06-28"


# ---------------------------------------------------------------- elsewhere as here
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_saved_model_loaded_elsewhere_gives_the_same_numbers(backbone, tmp_path):
    """Every condition and head of every backbone; up to the rounding that depends on where a tensor lies in memory (the weights are bit-equal)."""
    from financial_model import config as settings
    from financial_model.models.forecaster import build_forecaster
    from financial_model.training.checkpoint import save_checkpoint

    torch.manual_seed(0)
    x, condition, ranks = torch.randn(3, 24, 5), torch.zeros(3, 6, dtype=torch.int64), torch.rand(3, 4) - 0.5
    for mode in CONDITION_MODES:
        for head in [name for name in HEADS if name != "auto"]:
            small = {} if backbone == "lstm_tutorial" else {"hidden": 16, "layers": 1, "heads": 2}
            config = settings.build({"backbone": backbone, "condition": mode, "head": head, "horizon": 2, "context_length": 24, **small})
            model = build_forecaster(config.model, head=head, inputs=5, context_length=24, horizon=2).eval()
            header = {"config": settings.to_dict(config), "head": head, "features": list("abcde"), "inputs": 5, "context_length": 24,
                      "symbols": ["600000.SH"], "table": None, "label_scale": [1.0, 1.0], "extras": {}}
            save_checkpoint(tmp_path / "here.safetensors", model, header)
            elsewhere = shutil.copy(tmp_path / "here.safetensors", tmp_path / "elsewhere.safetensors")
            with torch.inference_mode():
                before, after = (found(x, condition, ranks) for found in (model, load_checkpoint(elsewhere)[0]))
            torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-7, msg=f"{mode} {head}")


# ---------------------------------------------------------------- an empty result says why
def nothing_to_follow():
    grid = np.ones((5, 2))
    days = MarketDays(time=86_400 * np.arange(5), symbols=("600000.SH", "600001.SH"), open=grid, close=grid, factor=grid, amount=grid,
                      flags=grid.astype(np.uint8))
    run_backtest(days, np.full((5, 2), np.nan))


@pytest.mark.parametrize("ask", [
    lambda workspace: Predictor(workspace).rank("fixed", min_gain=9.0),
    lambda workspace: Predictor(workspace).rank("fixed", industry="energy"),
    lambda workspace: Predictor(workspace).rank("fixed", as_of="1999-01-01"),
    lambda workspace: Predictor(workspace).forecast("fixed", "600519", as_of="1999-01-01"),
    lambda workspace: Predictor(workspace).forecast("fixed", "nobody"),
    lambda workspace: run_training(workspace, tiny("none", industry="energy")),
    lambda workspace: run_training(workspace, tiny("none", start="2024-06-20")),
    lambda workspace: load(workspace.checkpoint_dir / "nothing.safetensors"),
    lambda workspace: nothing_to_follow(),
], ids=["no gain", "no stock of the industry", "before the market", "before the stock", "unknown stock", "no universe", "no history", "no checkpoint",
        "no forecast"])
def test_what_is_empty_is_refused_with_a_sentence_in_both_languages(trained, ask):
    with pytest.raises(KairosError) as caught:
        ask(trained[0])
    english, chinese = str(caught.value), caught.value.message("zh")
    assert len(english) > 30 and english.endswith((".", ".”", "!")) and chinese != english


def test_every_part_of_an_evaluation_that_is_empty_says_why(trained):
    """Eight stocks are too few to be cut into groups, and the test is too short for an interval of a slow model."""
    found = evaluate_run(trained[0], "fixed")
    result = found["result"]
    assert result["tear_sheet"]["why"]["key"] == "evaluation.tear.few_names"
    if result["rank_ic_interval"] is None:
        assert any(item["key"] == "evaluation.verdict.few_dates" for item in result["verdict"])
    for part in ("recalibration", "backtest"):
        if part in found and found[part] is None:
            assert found["missing"], part
    assert all(has(item["key"]) for item in (*result["verdict"], *found["missing"], result["tear_sheet"]["why"]))
