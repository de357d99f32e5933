"""A model whose stocks see each other: a stock's forecast is that of its whole date, whoever else is asked for; alone it says so."""

import shutil

import numpy as np
import pandas as pd
import pytest

from financial_model.datasets.panel import build_panel, open_panel
from financial_model.serving import forecaster
from financial_model.serving.experiment import run_training
from financial_model.serving.forecaster import Borrowed
from financial_model.serving.importance import importance_run
from financial_model.serving.pieces import pieces
from financial_model.serving.predictor import Predictor
from tests.serving.builders import SYMBOLS, bars, tiny, trading_days, workspace_in


@pytest.fixture(scope="module")
def trained(market, tmp_path_factory):
    """(workspace, panel, the one piece of a finished run)"""
    workspace = workspace_in(tmp_path_factory.mktemp("seeing"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    run = run_training(workspace, tiny("seeing", cross_section=True, condition="concat", epochs=3, learning_rate=0.01))
    panel = open_panel(build_panel(workspace, run.run_config()))
    return workspace, panel, pieces(run.path / "final.safetensors", panel)[0]


def test_the_model_does_look_at_the_others(trained):
    """Otherwise the tests below prove nothing."""
    _, panel, piece = trained
    ends = piece.test[panel.time[piece.test] == panel.time[piece.test].max()]
    others = np.roll(ends, 1)
    swapped = piece.model.predict_panel(panel, ends[:1], borrowed=None)
    lonely = piece.model.predict_panel(panel, ends, borrowed=Borrowed(others, (0,)))
    assert len(ends) == len(SYMBOLS) and not np.allclose(lonely.expected[0], swapped.expected[0], atol=1e-6)


def test_order_batch_and_company_change_no_number(trained, monkeypatch):
    _, panel, piece = trained
    ends = piece.test
    together = piece.model.predict_panel(panel, ends)
    np.testing.assert_array_equal(together.end, ends)
    order = np.random.default_rng(0).permutation(len(ends))
    mixed = piece.model.predict_panel(panel, ends[order])
    np.testing.assert_array_equal(mixed.end, ends[order])
    np.testing.assert_allclose(mixed.expected, together.expected[order], rtol=1e-5, atol=1e-8)
    for place in (0, len(ends) // 2, len(ends) - 1):
        alone = piece.model.predict_panel(panel, ends[place:place + 1])
        np.testing.assert_allclose(alone.expected[0], together.expected[place], rtol=1e-5, atol=1e-8)
    for size in (1, 11, 4096):
        monkeypatch.setattr(forecaster, "BATCH", size)
        np.testing.assert_allclose(piece.model.predict_panel(panel, ends).quantiles, together.quantiles, rtol=1e-5, atol=1e-8)


def test_whether_a_peers_outcome_is_known_plays_no_part(trained):
    """On the last days no outcome is known yet, and every stock is still there to be looked at."""
    _, panel, piece = trained
    last = panel.offsets[1:] - 1
    found = piece.model._whole_dates(panel, last[:1])
    assert found.tolist() == last.tolist()


def test_the_page_of_one_stock_says_what_the_pool_says(trained):
    predictor = Predictor(trained[0])
    pool = predictor.rank("seeing", 0).set_index("symbol")["expected_return"]
    for symbol in SYMBOLS[:3]:
        single = predictor.forecast("seeing", symbol)
        assert single["table"][-1]["expected_return"] == pytest.approx(pool[symbol], rel=1e-5, abs=1e-8)


def test_bars_of_a_few_stocks_are_read_alone_and_the_answer_says_so(trained):
    model, days = trained[2].model, trading_days(300)
    alone = model.predict(bars(0, days))
    assert "serving.note_few_peers" in [note["key"] for note in alone.attrs["notes"]]
    every = pd.concat([bars(seed, days).assign(symbol=symbol) for seed, symbol in enumerate(SYMBOLS)])
    many = model.predict(every)
    assert "serving.note_few_peers" not in [note["key"] for note in many.attrs["notes"]]
    own = many[many["symbol"] == SYMBOLS[0]]["expected_return"].to_numpy()
    assert not np.allclose(own, alone["expected_return"], atol=1e-7)


def test_the_importance_of_inputs_swaps_among_the_stocks_of_whole_dates(trained):
    found = importance_run(trained[0], "seeing")
    assert {row["name"] for row in found["rows"]} == {"return", "rank", "condition"} and found["windows"] > 0
