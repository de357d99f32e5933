"""Defaults stand once; every interface derives from the same fields; problems come all together."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financial_model import config as c
from financial_model.errors import ConfigError


def test_names_are_unique_so_that_flags_are():
    names = [entry.name for entry in c.fields()]
    assert len(names) == len(set(names))
    flags = [entry.flag for entry in c.fields()]
    assert len(flags) == len(set(flags))


def test_every_default_passes_its_own_checks():
    for entry in c.fields():
        assert c.convert(entry, entry.default) == entry.default, entry.name
    assert not c.problems(c.RunConfig())


@pytest.mark.parametrize("preset", c.PRESETS)
def test_presets_are_startable(preset):
    assert not [problem for problem in c.problems(c.build(preset=preset)) if not problem.warning]


def test_round_trips():
    config = c.build({"symbols": "600519.SH,000001.SZ", "epochs": "3", "backbone": "gru"}, preset="quick")
    assert c.from_dict(json.loads(json.dumps(c.to_dict(config)))) == config
    assert c.build(c.flatten(config), base=c.RunConfig()) == config


def test_what_a_user_sets_wins_over_the_preset():
    assert c.build({"epochs": 7}, preset="quick").training.epochs == 7
    assert c.build(preset="quick").training.epochs == c.PRESETS["quick"]["epochs"]


@pytest.mark.parametrize(("name", "value", "key"), [
    ("epochs", "many", "config.wrong_type"), ("epochs", 0, "config.out_of_range"), ("epochs", 2.5, "config.wrong_type"),
    ("backbone", "oracle", "config.not_a_choice"), ("groups", "price,future", "config.not_a_choice"), ("no_such", 1, "config.unknown_setting"),
    ("dropout", float("nan"), "config.out_of_range"),
])
def test_a_wrong_value_names_its_field(name, value, key):
    with pytest.raises(ConfigError) as caught:
        c.build({name: value})
    assert caught.value.key == key
    assert caught.value.fields["name"] == name


def test_all_problems_at_once():
    config = c.build({"backbone": "transformer", "heads": 7, "up": 0.0, "down": 0.0, "train": 0.9, "validation": 0.2})
    keys = {problem.key for problem in c.problems(config)}
    assert {"config.heads_divide", "config.class_thresholds", "config.split_ratio"} <= keys
    with pytest.raises(ConfigError, match="attention heads"):
        c.check(config)


def test_objective_and_head_find_each_other():
    assert (c.build().head(), c.build().objective()) == ("quantile", "quantile")
    assert c.build({"objective": "huber"}).head() == "point"
    assert c.build({"head": "classes"}).objective() == "cross_entropy"
    assert c.problems(c.build({"objective": "huber", "head": "classes"}))[0].key == "config.objective_needs_head"


@given(st.text(max_size=20), st.sampled_from([entry.name for entry in c.fields()]))
def test_any_text_is_a_value_or_one_clear_error(text, name):
    try:
        c.build({name: text})
    except ConfigError as error:
        assert str(error)


def test_auto_learns_places_where_enough_stocks_share_a_date():
    many, few = c.resolve(c.RunConfig(), 300), c.resolve(c.RunConfig(), 3)
    assert (many.head(), many.objective(), many.label.unit) == ("point", "mse", "rank")
    assert (few.head(), few.objective(), few.label.unit) == ("quantile", "quantile", "volatility")
    assert not c.problems(many) and not c.problems(few)


def test_what_a_user_chose_is_never_resolved_away():
    for values in ({"head": "quantile"}, {"objective": "huber"}, {"unit": "return"}):
        config = c.build(values)
        resolved = c.resolve(config, 300)
        assert all(c.flatten(resolved)[name] == value for name, value in values.items())
        assert resolved.label.unit != "rank"


def test_places_need_a_point():
    assert c.problems(c.build({"unit": "rank", "head": "quantile"}))[0].key == "config.rank_needs_point"


@pytest.mark.parametrize(("values", "field", "key"), [
    ({"backbone": "multiscale", "heads": 7}, "heads", "config.heads_divide"),
    ({"backbone": "tsf", "hidden": 48, "heads": 16}, "heads", "config.head_size_even"),
    ({"backbone": "tsf-5m", "attention": "gqa", "kv_heads": 3}, "kv_heads", "config.kv_heads_divide"),
    ({"backbone": "moe_transformer", "patches": True, "context_length": 23}, "patches", "config.shorter_than_patch"),
])
def test_an_architecture_that_cannot_be_built_is_found_before_the_start(values, field, key):
    (problem,) = c.problems(c.build(values))
    assert (problem.field, problem.key, problem.warning) == (field, key, False)
    with pytest.raises(ConfigError):
        c.check(c.build(values))


def test_an_option_the_model_does_not_have_is_a_warning():
    found = c.problems(c.build({"backbone": "lstm", "stem": "mscnn", "patches": True}))
    assert [(problem.field, problem.warning) for problem in found] == [("stem", True), ("patches", True)]
    c.check(c.build({"backbone": "lstm", "stem": "mscnn"}))


@pytest.mark.parametrize(("values", "fields"), [
    ({"backbone": "gru", "norm": "dyt", "causal": True, "experts": 4, "attention_window": 5}, {"norm", "causal", "experts", "attention_window"}),
    ({"backbone": "transformer", "norm": "dyt", "attention": "gqa", "balance": 0.1, "head_dropout": 0.3}, {"attention", "balance", "head_dropout"}),
    ({"backbone": "tsf", "kv_heads": 2}, {"kv_heads"}), ({"backbone": "tsf", "attention": "gqa", "kv_heads": 2, "experts": 4}, set()),
    ({"backbone": "moe_transformer", "experts": 4, "attention_window": 5, "kv_heads": 2}, {"kv_heads"})])
def test_every_option_that_would_be_ignored_is_a_warning_at_its_field(values, fields):
    found = c.problems(c.build(values))
    assert {problem.field for problem in found} == fields and all(problem.warning for problem in found)


def test_errors_and_warnings_come_in_one_list():
    found = c.problems(c.build({"backbone": "transformer", "heads": 7, "experts": 4, "method": "lora", "mixup": True, "objective": "ic"}))
    assert {(problem.field, problem.warning) for problem in found} == {("heads", False), ("experts", True), ("init_from", False), ("mixup", False)}


def test_widths_follow_the_hidden_size_and_norms_their_model():
    assert c.build({"backbone": "tsf-27m"}).model.shape()["expert_size"] == c.BACKBONE_SHAPES["tsf-27m"]["expert_size"]
    assert "expert_size" not in c.build({"backbone": "lstm"}).model.shape()
    assert c.build().model.norm_or("rmsnorm") == "rmsnorm" and c.build({"norm": "dyt"}).model.norm_or("rmsnorm") == "dyt"


@pytest.mark.parametrize(("values", "key"), [
    ({"train_end": "2024-06-28", "validation_end": "2023-12-29"}, "config.split_dates_order"),
    ({"train_end": "2024-06-28", "validation_end": "2024-06-28"}, "config.split_dates_order"),
    ({"train_end": "2024-06-28"}, "config.split_dates_together"), ({"validation_end": "2024-06-28"}, "config.split_dates_together"),
    ({"train": 0.9, "validation": 0.1}, "config.split_ratio")])
def test_a_validation_or_test_inside_the_training_is_refused_in_both_languages(values, key):
    (problem,) = c.problems(c.build(values))
    assert (problem.key, problem.warning) == (key, False)
    with pytest.raises(ConfigError) as caught:
        c.check(c.build(values))
    assert len(str(caught.value)) > 30 and caught.value.message("zh") != str(caught.value)


def test_what_is_no_date_is_a_problem_of_its_field():
    for name in ("start", "end", "train_start", "train_end", "validation_end"):
        assert (name, "split.not_a_date") in [(problem.field, problem.key) for problem in c.problems(c.build({name: "2025-13-45"}))]
    backwards = c.problems(c.build({"start": "2025-06-01", "end": "2024-06-01"}))
    assert [(problem.field, problem.key) for problem in backwards] == [("end", "config.dates_order")]
    assert not c.problems(c.build({"start": "2024-06-01", "end": "2025-06-01"}))


@pytest.mark.parametrize("costs", ["0,1", "0,1,1,1,0,1,1,-1,0", "0,0,0,0,0,0,0,0,0", "0,1,1,1,0,1,1,inf,0"])
def test_a_cost_matrix_is_nine_costs(costs):
    assert [(p.field, p.key) for p in c.problems(c.build({"cost_matrix": costs}))] == [("cost_matrix", "config.cost_matrix")]
