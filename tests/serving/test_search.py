"""The search space as it is typed: what can be varied, over what, and what is refused."""

import pytest

from financial_model.errors import ConfigError
from financial_model.serving.search import Axis, parse


@pytest.mark.parametrize("text, axis", [
    ("learning_rate=1e-4..3e-3", Axis(name="learning_rate", low=1e-4, high=3e-3, log=True)),
    ("dropout=0..0.5", Axis(name="dropout", low=0.0, high=0.5)),
    ("--hidden = 32..64", Axis(name="hidden", low=32, high=64, whole=True)),
    ("hidden=32,64,96,32", Axis(name="hidden", choices=(32, 64, 96))),
    ("model=gru,mlp", Axis(name="backbone", choices=("gru", "mlp"))),
    ("weight-decay=0.01,0.1", Axis(name="weight_decay", choices=(0.01, 0.1))),
    ("skip=true,false", Axis(name="skip", choices=(True, False))),
])
def test_ranges_and_lists(text, axis):
    (found,) = parse([text], "loss")
    assert found == axis and parse([found.text], "loss") == (axis,), "what is written down is read the same"


@pytest.mark.parametrize("texts, by, key", [
    ([], "loss", "sweep.nothing"), (["hidden=32,64", "hidden=8..16"], "loss", "sweep.twice"), (["hidden=64..32"], "loss", "sweep.empty_range"),
    (["hidden=64"], "loss", "sweep.bad_range"), (["hidden"], "loss", "sweep.bad_range"), (["hidden=32..x"], "loss", "config.wrong_type"),
    (["dropout=0..3"], "loss", "config.out_of_range"), (["horizon=1..5"], "rank_ic", "sweep.not_searchable"),
    (["train_end=2020-01-01,2021-01-01"], "loss", "sweep.not_searchable"), (["windows_per_epoch=10,20"], "loss", "sweep.not_searchable"),
    (["objective=mse,mae"], "loss", "sweep.loss_differs"),
])
def test_what_cannot_be_searched_is_refused(texts, by, key):
    with pytest.raises(ConfigError) as caught:
        parse(texts, by)
    assert caught.value.key == key


def test_objectives_can_be_searched_by_a_figure_that_compares_them():
    assert parse(["objective=mse,mae"], "rank_ic")[0].choices == ("mse", "mae")
