"""What a checkpoint's header forbids and brings along, asked without weights and before any data."""

import pytest

from financial_model.config import build, check, problems, to_dict
from financial_model.errors import ConfigError
from financial_model.training.base import SLOW_RATE, base_problems, inherited, lineage, seen_until, trained_until

SPLIT = {"train": {"first": "2020-01-01", "last": "2022-06-30"}, "validation": {"first": "2022-07-01", "last": "2022-12-30"},
         "test": {"first": "2023-01-02", "last": "2023-06-30"}}


def header(config=None, **changes):
    config = config or build({"backbone": "gru", "objective": "mse", "unit": "rank", "horizon": 3, "groups": "return,rank", "context_length": 20})
    return {"config": to_dict(config), "head": config.head(), "split": SPLIT, "weights_hash": "aa", "lineage": [], **changes}


def following(known, method="full", **changes):
    """What a user gets who names the base and nothing else but ``changes``."""
    return build({**inherited(known, method), "init_from": "base", "method": method, **changes})


@pytest.mark.parametrize("method", ["full", "head", "lora", "distill", "preference"])
def test_what_is_taken_over_fits(method):
    known = header()
    config = following(known, method)
    assert not base_problems(config, known) and not problems(config)
    assert (config.label.unit, config.features.context_length, config.split.validation_end) == ("rank", 20, "2022-12-30")


@pytest.mark.parametrize(("name", "value"), [
    ("groups", "return"), ("context_length", 30), ("normalisation", "zscore"), ("horizon", 5), ("entry", "next_open"), ("unit", "return"),
    ("head", "quantile"), ("backbone", "lstm"), ("hidden", 64), ("layers", 1), ("condition", "film"), ("skip", False)])
def test_whatever_the_weights_depend_on_must_be_the_same(name, value):
    known = header()
    given = {"objective": "auto", name: value} if name == "head" else {name: value}
    found = [problem for problem in base_problems(following(known, **given), known)]
    assert name in {problem.field for problem in found} and not any(problem.warning for problem in found)


def test_a_size_named_and_a_size_left_open_are_the_same():
    assert not base_problems(following(header(), hidden=128, layers=3), header())


def test_all_differences_come_at_once_and_with_the_other_problems():
    config = following(header(), context_length=30, horizon=5, learning_rate=0)
    found = base_problems(config, header())
    assert {problem.field for problem in found} == {"context_length", "horizon"}
    with pytest.raises(ConfigError) as caught:
        check(config, found)
    said = str(caught.value)
    assert all(word in said for word in ("context_length", "horizon", "learning rate of 0"))


def test_what_shapes_no_weight_is_free():
    assert not base_problems(following(header(), dropout=0.5, batch_size=32, objective="ic", up=0.1), header())
    classes = header(build({"backbone": "gru", "head": "classes"}))
    assert {problem.field for problem in base_problems(following(classes, up=0.1), classes)} == {"up"}, "the classes head means these thresholds"


def test_a_student_chooses_its_own_model_but_not_its_inputs():
    student = following(header(), "distill", backbone="mlp", hidden=16, condition="film")
    assert not base_problems(student, header())
    assert base_problems(following(header(), "distill", context_length=30), header())


def test_a_teacher_that_looks_across_stocks_needs_batches_of_whole_dates():
    known = header(build({"backbone": "gru", "cross_section": True}))
    assert following(known, "distill").by_date()
    assert {problem.field for problem in base_problems(following(known, "distill", cross_section=False), known)} == {"cross_section"}


def test_an_encoder_asks_for_its_backbone_alone_and_for_full():
    known = header(build({"backbone": "transformer", "patches": True, "method": "pretrain", "context_length": 40}), kind="encoder")
    assert not base_problems(following(known, head="classes", condition="film", horizon=9), known)
    assert {problem.field for problem in base_problems(following(known, patches=False), known)} == {"patches"}
    assert [problem.key for problem in base_problems(following(known, "lora"), known)] == ["transfer.encoder_needs_full"]


def test_an_average_of_models_can_only_teach():
    known = header(members=3)
    assert [problem.key for problem in base_problems(following(known), known)] == ["transfer.several_models"]
    assert not base_problems(following(known, "distill"), known)


def test_weights_that_know_something_learn_slower():
    assert inherited(header(), "full")["learning_rate"] == inherited(header(), "preference")["learning_rate"] == SLOW_RATE
    assert "learning_rate" not in inherited(header(), "lora")


# ---------------------------------------------------------------- without a header
@pytest.mark.parametrize("method", ["head", "lora", "distill", "preference"])
def test_a_method_without_a_base(method):
    assert "config.method_needs_base" in {problem.key for problem in problems(build({"method": method}))}


@pytest.mark.parametrize(("changes", "field"), [
    ({"backbone": "gru"}, "backbone"), ({"patches": False}, "patches"), ({"context_length": 24}, "context_length"),
    ({"walk_forward": "rolling"}, "walk_forward"), ({"init_from": "other"}, "init_from"), ({"seeds": 2}, "seeds")])
def test_what_cannot_be_pre_trained(changes, field):
    good = {"method": "pretrain", "backbone": "transformer", "patches": True, "context_length": 40}
    assert not problems(build(good))
    assert field in {problem.field for problem in problems(build({**good, **changes}))}


def test_preference_needs_points():
    assert {problem.field for problem in problems(build({"method": "preference", "init_from": "x", "head": "quantile"}))} == {"head"}


# ---------------------------------------------------------------- dates
def test_days_are_remembered_through_every_ancestor():
    late = header()
    months = {"train": 6, "validation": 8, "test": 9}
    child = header(split={name: {"first": "2019-01-01", "last": f"2019-0{month}-28"} for name, month in months.items()},
                   lineage=lineage(following(late), late))
    assert (trained_until(child), seen_until(child)) == ("2022-06-30", "2022-12-30")


def test_dates_before_what_the_base_has_seen_are_a_problem_of_their_field():
    early = following(header(), train_end="2021-01-01", validation_end="2021-06-30")
    (problem,) = base_problems(early, header())
    assert (problem.field, problem.key) == ("validation_end", "transfer.base_saw_test") and problem.values["until"] == "2022-12-30"
