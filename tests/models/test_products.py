"""Products of two inputs beside the line: found where they are, nowhere else, and judged on dates they were not found on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from financial_model import config
from financial_model.config import CONDITIONS
from financial_model.models import products
from financial_model.models.linear_start import LinearStart
from financial_model.models.regression import Ridge

STOCKS, DAYS, FEATURES = 40, 400, 6
SETTINGS = config.build({
    "horizon": 1, "class_horizon": 1, "context_length": 1, "unit": "volatility", "normalisation": "standard", "condition": "concat"})
BEAR = list(CONDITIONS["regime"]).index("bear")


def market(signal=None, *, seed=0, strength=0.1):
    """A panel whose next return is ``strength`` x signal(values, regime is bear, day) + noise, in units of a volatility of 0.02."""
    random = np.random.default_rng(seed)
    rows = STOCKS * DAYS
    values, shock = random.standard_normal((rows, FEATURES)).astype(np.float32), random.standard_normal(rows)
    day = np.tile(np.arange(DAYS), STOCKS)
    bear = (day // 10) % 2 == 1
    known = np.zeros(rows) if signal is None else signal(values, bear, day)
    log_close = (0.02 * (shock + strength * np.roll(known, 1))).reshape(STOCKS, DAYS).cumsum(1).ravel()
    conditions = np.tile(np.array([len(names) for names in CONDITIONS.values()], np.int8), (rows, 1))  # all unknown
    conditions[:, list(CONDITIONS).index("regime")] = np.where(bear, BEAR, 0)
    return SimpleNamespace(
        values=values, time=day * 86_400, prices=np.stack((log_close, log_close, np.exp(log_close), np.exp(log_close)), axis=1),
        volatility=np.full(rows, 0.02, np.float32), ranks=np.zeros((rows, 4), np.float32), conditions=conditions,
        offsets=np.arange(STOCKS + 1) * DAYS)


ENDS = (np.arange(STOCKS)[:, None] * DAYS + np.arange(DAYS - 1)).ravel()
TABLE = (np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32))


def fitted(panel, settings=SETTINGS):
    start = LinearStart(FEATURES, 1)
    start.fit(panel, ENDS, settings, TABLE)
    return start


def found(start):
    return start.products.named([f"f{number}" for number in range(FEATURES)])


def test_a_planted_product_is_found_with_its_size():
    start = fitted(market(lambda x, bear, day: x[:, 0] * x[:, 3]))
    assert found(start)[0] == ("f0", "f3") and len(found(start)) <= 2
    assert float(start.products.weight[0, 0]) == pytest.approx(0.1, abs=0.03)
    assert float(start.weight.abs().max()) < 0.03, "the line alone sees nothing of it"


def test_a_sign_that_turns_with_the_regime_is_a_product_with_its_class():
    panel = market(lambda x, bear, day: np.where(bear, -1, 1) * x[:, 2], strength=0.2)
    assert set(found(fitted(panel))[:2]) == {("f2", "regime=bull"), ("f2", "regime=bear")}
    without = config.build({**config.flatten(SETTINGS), "condition": "none"})
    assert found(fitted(panel, without)) == [], "a model without conditions is not told the regime"


@pytest.mark.parametrize("seed", range(8))
def test_on_noise_nothing_survives(seed):
    assert found(fitted(market(seed=seed))) == []


def test_what_a_line_already_says_is_not_said_again():
    assert found(fitted(market(lambda x, bear, day: x[:, 1], strength=0.3))) == []


def test_a_product_that_turned_before_the_held_out_dates_is_dropped():
    turned = market(lambda x, bear, day: np.where(day < 0.78 * DAYS, 1, -1) * x[:, 0] * x[:, 3], strength=0.15)
    start = fitted(turned)
    assert found(start) == [] and float(start.products.weight.abs().sum()) == 0.0 and int(start.products.first.abs().sum()) == 0


def test_too_few_dates_are_no_evidence(monkeypatch):
    monkeypatch.setattr(products, "LEAST_BLOCKS", 1000)
    assert found(fitted(market(lambda x, bear, day: x[:, 0] * x[:, 3]))) == []


def test_the_module_says_what_its_numbers_say():
    panel = market(lambda x, bear, day: x[:, 0] * x[:, 3])
    start = fitted(panel)
    row, ranks = torch.from_numpy(panel.values[:50]), torch.zeros(50, 4)
    said = start.products(row, ranks, torch.from_numpy(panel.conditions[:50].astype(np.int64)))
    expected = start.products.bias.numpy() + sum(
        weight.numpy() * (panel.values[:50, first] * panel.values[:50, second])[:, None]
        for first, second, weight in zip(start.products.first, start.products.second, start.products.weight, strict=True))
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-6)
    whole, line = (start.line(panel, ENDS[:50], SETTINGS, TABLE, products=each) for each in (True, False))
    assert not np.allclose(whole, line)
    ridge = Ridge.on(panel, ENDS, SETTINGS, TABLE)
    np.testing.assert_allclose(line, np.c_[ridge.inputs(panel, ENDS[:50]), np.ones(50)] @ ridge.weights, atol=1e-6)


def test_overlapping_labels_do_not_count_as_evidence():
    """A five-day label of a slow input repeats itself; single dates as observations would let noise through."""
    settings = config.build({**config.flatten(SETTINGS), "horizon": 5})
    survivors = 0
    for seed in range(6):
        panel = market(seed=seed)
        slow = np.random.default_rng(seed).standard_normal((STOCKS, DAYS, FEATURES)).cumsum(1)
        panel.values = (slow / slow.std()).reshape(-1, FEATURES).astype(np.float32)
        start = LinearStart(FEATURES, 5)
        start.fit(panel, ENDS.reshape(STOCKS, -1)[:, :-5].ravel(), settings, TABLE)
        survivors += len(found(start))
    assert survivors == 0
