"""The trainer on markets whose truth is known: all of its stages for real, on a market that takes seconds."""

import logging
import tempfile
import threading

import pytest

from financial_model import config as settings
from financial_model.errors import ConfigError, Stopped
from financial_model.serving import recovery
from tests.evaluation.test_truth import market as measured_market
from tests.serving.builders import TINY

SMALL = recovery.Size(stocks=30, years=1.5, train=0.6)


def tiny(**values):
    return recovery.settings({**TINY, "horizon": 1, "epochs": 1, "windows_per_epoch": 2000, **values})


def measured(seed):
    return measured_market(seed=seed, names=10, days=80)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the temporary markets are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_every_variant_gets_a_row_with_the_truth_where_there_is_one(folder):
    seen = []
    found = recovery.recover(tiny(), variants=("linear", "null"), size=SMALL, progress=lambda stage, done, total: seen.append((stage, done, total)))
    linear, null = found["variants"]["linear"], found["variants"]["null"]
    assert linear["oracle_ic"] > 0.02 and linear["recovery"] is not None and not linear["nothing"]
    assert null["nothing"] and null["oracle_ic"] is None and null["ic"] is not None
    assert set(linear["rivals"]) == {"ridge", "lightgbm"} and linear["rivals"]["ridge"]["difference"] == pytest.approx(
        linear["ic"] - linear["rivals"]["ridge"]["ic"])
    assert found["settings"]["backbone"] == "gru" and found["settings"]["condition"] == "concat" and found["horizon"] == 1
    places = [done for _, done, _ in seen]
    assert {stage for stage, _, _ in seen} == {"recover"} and 0 <= places[0] and places[-1] <= 2
    assert all(later > place - 1e-9 for place, later in zip(places, places[1:], strict=False))
    assert not list(folder.glob("kairos-recover-*")), "the markets are gone"


def test_several_seeds_are_several_markets_of_their_own(monkeypatch):
    asked = []

    def one_market(config, variant, size, seed, progress, stop):
        asked.append((variant, seed))
        return measured(seed)

    monkeypatch.setattr(recovery, "one_market", one_market)
    found = recovery.recover(tiny(), variants=("linear", "sign_flip"), seeds=3, first_seed=5)["variants"]
    assert asked == [(variant, seed) for variant in ("linear", "sign_flip") for seed in (5, 6, 7)]
    assert found["linear"]["markets"] == 3 and found["linear"]["dates"] == 3 * measured(5).dates


def test_dates_and_symbols_of_a_real_run_are_not_asked_of_a_synthetic_market():
    given = settings.build({"symbols": "600519", "start": "2001-01-01", "train_end": "2010-01-01", "validation_end": "2011-01-01", "embargo": 3})
    made = recovery.prepared(given, recovery.QUICK)
    assert made.universe == settings.UniverseConfig() and made.split.train_end == "" and made.split.embargo == 3
    assert made.split.train == recovery.QUICK.train and made.model == given.model


def test_an_unknown_variant_or_no_seed_is_refused_before_anything_is_made(folder):
    for wrong in ({"variants": ("linear", "magic")}, {"variants": ()}, {"seeds": 0}):
        with pytest.raises(ConfigError):
            recovery.recover(tiny(), **wrong)
    assert not list(folder.glob("kairos-recover-*"))


def test_a_stop_leaves_nothing_behind(folder, caplog):
    stop = threading.Event()

    def progress(stage, done, total):
        if done > 0.2:  # in the middle of the training
            stop.set()

    with caplog.at_level(logging.ERROR), pytest.raises(Stopped):
        recovery.recover(tiny(windows_per_epoch=0, epochs=50), variants=("linear",), size=SMALL, progress=progress, stop=stop)
    assert not list(folder.glob("kairos-recover-*")) and not caplog.records
