"""What a run will be, from the table of symbols alone: the dates are those the run really has, the counts are near."""

import math
import subprocess
import sys

import pytest

from financial_model.datasets.context import of_panel
from financial_model.datasets.panel import build_panel, open_panel
from financial_model.datasets.splits import date_split
from financial_model.datasets.windows import window_ends
from financial_model.errors import DataError, NotFoundError
from financial_model.market.store import Store
from financial_model.serving.deciding import decide
from financial_model.serving.outline import outline
from tests.serving.builders import tiny


@pytest.fixture(scope="module")
def panel(market):
    return open_panel(build_panel(market, tiny()))


def test_the_dates_are_those_of_the_run(market, panel):
    config = tiny()
    found = outline(Store(market.data_dir), config)
    assert found.split == date_split(panel.time, config.split, config.label.horizon, config.label.entry).describe()
    assert found.stocks == len(panel.symbols) and found.inputs == len(panel.feature_names)


def test_the_windows_are_counted_nearly(market, panel):
    config = tiny()
    found = outline(Store(market.data_dir), config)
    split = date_split(panel.time, config.split, config.label.horizon)
    for name in ("validation", "test"):
        real = len(window_ends(panel, *split.part(name), config.features.context_length, config.label.horizon))
        assert found.windows[name] == pytest.approx(real, rel=0.02)


def test_the_length_of_a_window_is_told_however_it_is_decided(market, panel):
    """Beside the form the very estimate that the run will make: the same stocks, the same dates."""
    store, auto = Store(market.data_dir), tiny(context="auto", context_low=2, context_high=30)
    found = outline(store, auto)
    assert found.context == of_panel(panel, auto).to_dict()
    assert found.batch[1] == found.context["context_length"] == decide(auto, panel).features.context_length
    assert outline(store, tiny(context="random", context_high=35)).batch[1] == 35
    assert outline(store, tiny()).context is None


def test_steps_follow_from_windows_batches_and_epochs(market):
    found = outline(Store(market.data_dir), tiny(windows_per_epoch=1000, batch_size=128, epochs=3, accumulation=2))
    assert found.per_epoch == min(1000, found.windows["train"]) and found.batch[:2] == (128, 8)
    batches = math.ceil(found.per_epoch / 128)
    assert found.steps == math.ceil(batches / 2) * 3
    ensemble = outline(Store(market.data_dir), tiny(windows_per_epoch=1000, batch_size=128, epochs=3, accumulation=2, seeds=4))
    assert (ensemble.steps, ensemble.evaluations) == (4 * found.steps, 4 * found.evaluations)


def test_a_later_first_date_leaves_fewer_sessions(market):
    store = Store(market.data_dir)
    whole, part = outline(store, tiny()), outline(store, tiny(start="2024-01-01"))
    assert part.split["train"]["first"] >= "2024-01-01" and part.split["train"]["sessions"] < whole.split["train"]["sessions"]


@pytest.mark.parametrize("values", [{"start": "2024-06-20"}, {"industry": "energy"}, {"start": "2030-01-01"}])
def test_what_the_data_do_not_allow_is_said(market, values):
    with pytest.raises(DataError):
        outline(Store(market.data_dir), tiny(**values))


def test_an_unknown_stock_is_said(market):
    with pytest.raises(NotFoundError):
        outline(Store(market.data_dir), tiny(symbols="600999.SH"))


def test_a_form_may_ask_without_loading_torch():
    names = ("serving.outline", "serving.probe", "features.registry", "datasets.selection", "datasets.splits")
    code = f"import sys, {', '.join(f'financial_model.{name}' for name in names)}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
