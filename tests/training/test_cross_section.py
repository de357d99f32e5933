"""Training with stocks that see each other: batches of dates, the same weights after a stop, the same bits elsewhere."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from financial_model.config import UniverseConfig, problems
from financial_model.datasets.panel import open_panel
from financial_model.datasets.write import write_panel
from financial_model.errors import DataError
from financial_model.training.checkpoint import load_checkpoint
from financial_model.training.events import EventLog
from financial_model.training.session import Session
from tests.training.builders import StopAfter, events_of, make_config, make_panel, run

ROOT = Path(__file__).resolve().parents[2]
SEEING = {"cross_section": True, "condition": "concat"}
QUICK = {"epochs": 4, "batch_size": 30, "learning_rate": 1e-2}


def test_batches_hold_dates_and_evaluations_whole_ones(panel, tmp_path):
    session = Session(make_config(model=SEEING, **QUICK), panel, tmp_path, stop=None, events=EventLog(tmp_path / "events.jsonl"), score=None)
    for loader in (session.loader, session.validation):
        for batch in loader:
            counts = np.unique(batch.date.numpy(), return_counts=True)[1]
            assert (counts >= 3).all()
    times = np.asarray(panel.time)[session.prepared.validation]
    seen = [set(np.unique(batch.date.numpy())) for batch in session.validation]
    assert sum(map(len, seen)) == len(np.unique(times)), "no date is spread over two batches"


def test_it_learns_and_a_stopped_run_resumes_to_the_same_weights(panel, tmp_path):
    config = make_config(model=SEEING, **QUICK)
    run(config, panel, tmp_path / "whole")
    losses = [event["metrics"]["loss"] for event in events_of(tmp_path / "whole", "epoch")]
    constant = {event["name"]: event["metrics"]["loss"] for event in events_of(tmp_path / "whole", "baseline")}
    assert min(losses) < 0.9 * constant["zero"]
    run(config, panel, tmp_path / "cut", stop=StopAfter(9))
    run(config, panel, tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / name / "final.safetensors") for name in ("whole", "cut"))
    assert any("cross_section" in name for name in whole) and all((whole[name] == cut[name]).all() for name in whole)


def test_what_only_the_others_know_is_found(tmp_path):
    """Tomorrow's move of every stock is what its date says on average today: invisible in one stock's own window."""
    folder, days, stocks = tmp_path / "panel", 200, 8
    random = np.random.default_rng(5)
    made = make_panel(folder / "plain", stocks=stocks, days=days)
    values = np.array(made.values).reshape(stocks, days, -1)
    common = values[:, :, 1].mean(0) * np.sqrt(stocks)
    moves = random.normal(0, 1, (stocks, days))
    moves[:, 1:] = 0.8 * common[None, :-1] + 0.6 * moves[:, 1:]
    close = 20 * np.exp(np.cumsum(0.02 * moves, axis=1)).reshape(-1)
    bars = SimpleNamespace(symbols=made.symbols, offsets=np.asarray(made.offsets), time=np.asarray(made.time), open=close, close=close,
                           volume=np.full(len(close), 1e6), amount=1e6 * close, factor=np.ones(len(close)), extra={},
                           market_time=np.asarray(made.market_time),
                           market_close=np.asarray(made.market_close), market_name="equal_weight")
    write_panel(folder / "common", bars, list(made.feature_names), values.reshape(stocks * days, -1).astype(np.float32),
                np.asarray(made.conditions), np.asarray(made.ranks), fingerprint="c" * 32, synthetic=True)
    panel, losses = open_panel(folder / "common"), {}
    for seeing in (False, True):
        config = make_config(horizon=1, context_length=2, model={"backbone": "mlp", "cross_section": seeing, "dropout": 0.0}, epochs=12,
                             batch_size=64, learning_rate=1e-2)
        losses[seeing] = run(config, panel, tmp_path / str(seeing)).best_loss
    assert losses[True] < 0.75 * losses[False]


def test_a_fresh_process_forecasts_the_same_bits(panel, tmp_path):
    run(make_config(model=SEEING, seeds=2, epochs=1, batch_size=30), panel, tmp_path)
    random = torch.Generator().manual_seed(0)
    save_file({"x": torch.randn(6, 6, 3, generator=random), "condition": torch.ones(6, 6, dtype=torch.int64), "ranks": torch.zeros(6, 4),
               "date": torch.tensor([1, 1, 1, 2, 2, 1])}, tmp_path / "inputs")
    script = ("import sys, torch; from safetensors.torch import load_file, save_file\n"
              "from financial_model.training.checkpoint import load_checkpoint\n"
              "torch.set_num_threads(1); folder = sys.argv[1]; model, _ = load_checkpoint(folder + '/final.safetensors')\n"
              "with torch.inference_mode(): output = model(**load_file(folder + '/inputs'))['point']\n"
              "save_file({'output': output.contiguous()}, folder + '/output')")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True)
    model, inputs = load_checkpoint(tmp_path / "final.safetensors")[0], load_file(tmp_path / "inputs")
    with torch.inference_mode():
        output = model(**inputs)["point"]
    assert torch.equal(load_file(tmp_path / "output")["output"], output)


def test_a_stock_without_peers_is_refused_and_few_are_a_warning(tmp_path):
    config = make_config(model=SEEING, **QUICK)
    with pytest.raises(DataError, match="cross_section"):
        run(config, make_panel(tmp_path / "panel", stocks=2), tmp_path / "run")
    few = dataclasses.replace(config, universe=UniverseConfig(symbols=("600519.SH", "600036.SH", "600000.SH")))
    assert [problem.key for problem in problems(few) if problem.field == "cross_section" and problem.warning] == ["config.cross_section_few_symbols"]
