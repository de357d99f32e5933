"""A run that starts from another: found by id or name, checked before anything is loaded, kept beside the run, and told in the result."""

import json

import pytest

from financial_model import config as settings
from financial_model.errors import CheckpointError, ConfigError, NotFoundError
from financial_model.serving import bases
from financial_model.serving.experiment import run_training
from financial_model.serving.judging import stored
from financial_model.serving.predictor import Predictor
from financial_model.serving.runs import RunStore
from financial_model.training.base import is_encoder
from financial_model.training.checkpoint import read_header, update_header
from tests.serving.builders import SYMBOLS, tiny, trading_days


@pytest.fixture(scope="module")
def store(finished):
    return RunStore(finished[0].checkpoint_dir)


def following(runs, **values):
    small = {"epochs": 1, "batch_size": 128, "device": "cpu", "precision": "fp32"}
    return bases.begin_with({"init_from": "finished", "name": "tuned", **small, **values}, runs)


def test_a_base_fits_whoever_takes_over_its_settings(store):
    assert not [problem for problem in bases.problems(following(store), store) if not problem.warning]
    bases.check(following(store, method="lora"), store)


def test_what_does_not_fit_stands_at_its_field_beside_the_other_problems(store):
    found = bases.problems(following(store, context_length=9, groups="return", learning_rate=0), store)
    assert {"context_length", "groups", "learning_rate"} <= {problem.field for problem in found}


def test_other_features_under_the_same_groups_are_a_problem_of_their_field(store, copied):
    """As where a feature of one's own was added since."""
    runs = RunStore(copied.checkpoint_dir)
    path = runs.checkpoint("finished")
    update_header(path, {"features": ["gone", *read_header(path)["features"][1:]]})
    found = bases.problems(following(runs, learning_rate=0), runs)
    assert {(problem.field, problem.key) for problem in found} == {
        ("groups", "transfer.other_features"), ("learning_rate", "config.learning_rate_zero")}
    with pytest.raises(ConfigError, match="gone"):
        bases.check(following(runs), runs)


def test_a_formula_that_cannot_be_read_stands_at_its_field_beside_the_others(store):
    found = bases.problems(tiny(formulas="mean(close", learning_rate=0), store)
    assert {problem.field for problem in found} == {"formulas", "learning_rate"} and not any(problem.warning for problem in found)
    with pytest.raises(ConfigError, match="learning rate of 0"):
        bases.check(tiny(formulas="mean(close", learning_rate=0), store)


def test_no_such_run_is_a_problem_of_its_field(store):
    (problem,) = bases.problems(tiny(init_from="nothing"), store)
    assert (problem.field, problem.key) == ("init_from", "runs.unknown")


@pytest.mark.parametrize("text", ["/etc/passwd", "../finished/final.safetensors", "final.safetensors"])
def test_a_text_is_never_a_path_unless_the_command_line_says_so(store, text, finished):
    with pytest.raises(NotFoundError):
        bases.find(store, text)
    file = finished[1].path / "final.safetensors"
    with pytest.raises(NotFoundError):
        bases.find(store, str(file))
    assert bases.find_typed(store, str(file)) == file and bases.find_typed(store, "finished").name == "final.safetensors"


def test_a_tuned_run_from_beginning_to_end(copied):
    runs = RunStore(copied.checkpoint_dir)
    base = read_header(runs.checkpoint("finished"))
    run = run_training(copied, following(runs, method="head", symbols=",".join(SYMBOLS[:6])))
    header = read_header(runs.checkpoint(run.id))
    assert run.state == "finished" and run.metrics["rows"] > 0
    assert header["lineage"][0] | {"base": "finished", "method": "head", "weights_hash": base["weights_hash"]} == header["lineage"][0]
    assert header["split"]["test"]["first"] == base["split"]["test"]["first"], "judged on the days the base was judged on"
    assert (run.path / bases.FILE).read_bytes() == runs.checkpoint("finished").read_bytes()
    assert bases.FILE.removesuffix(".safetensors") not in run.checkpoints
    assert "rank_reference" in header["extras"] and "base" in runs.curves(run.id)["baselines"]
    assert Predictor(copied).forecast(run.id, SYMBOLS[0])["days"] == 3


def test_dates_the_base_has_seen_cannot_become_a_test(copied):
    runs = RunStore(copied.checkpoint_dir)
    days = [str(day)[:10] for day in trading_days(300)]
    with pytest.raises(ConfigError) as caught:
        run_training(copied, following(runs, train_end=days[100], validation_end=days[150]))
    assert "know the future" in str(caught.value) and len(runs.list()) == 1, "refused before a run was made"
    with pytest.raises(ConfigError):  # by share, the dates are known only with the data
        run_training(copied, following(runs, train_end="", validation_end="", train=0.4, validation=0.1))
    failed = runs.list()[0]
    assert failed.state == "failed" and "know the future" in failed.message() and failed.checkpoints == ()


def test_a_validation_the_base_was_trained_on_is_said_wherever_the_result_is(copied):
    runs = RunStore(copied.checkpoint_dir)
    until = read_header(runs.checkpoint("finished"))["split"]["validation"]["last"]
    early = str(trading_days(300)[150])[:10]
    run = run_training(copied, following(runs, train_end=early, validation_end=until))
    keys = [note["key"] for note in stored(run)["missing"]]
    assert "transfer.base_saw_validation" in keys
    assert "already knew" in (run.path / "report.html").read_text("utf-8")


def test_a_resumed_run_needs_neither_the_base_nor_its_name(copied):
    runs = RunStore(copied.checkpoint_dir)

    class Once:
        looks = 0

        def is_set(self):
            self.looks += 1
            return self.looks > 6

    run = run_training(copied, following(runs, method="lora", epochs=2), stop=Once())
    assert run.state == "stopped"
    runs.delete("finished")
    assert run_training(copied, run.run_config(), run=run, resume=True).state == "finished"


def test_a_lost_copy_is_said(copied):
    runs = RunStore(copied.checkpoint_dir)
    run = runs.create(following(runs))
    (run.path / "resume").mkdir()
    with pytest.raises(CheckpointError, match="no longer in its folder"):
        bases.adopt(run.run_config(), runs, run)


def test_pre_training_ends_without_a_test_and_is_a_beginning(filled):
    runs = RunStore(filled.checkpoint_dir)
    model = {"backbone": "transformer", "patches": True, "context_length": 30, "hidden": 16, "heads": 2}
    encoder = run_training(filled, tiny("encoder", method="pretrain", **model))
    assert encoder.state == "finished" and encoder.metrics == {} and not (encoder.path / "evaluation.json").exists()
    assert is_encoder(read_header(runs.checkpoint("encoder")))
    with pytest.raises(CheckpointError, match="pre-trained"):
        Predictor(filled).forecast("encoder", SYMBOLS[0])
    given = {"init_from": "encoder", "name": "tuned", "epochs": 1, "horizon": 3, "device": "cpu", "precision": "fp32", "condition": "film"}
    run = run_training(filled, bases.begin_with(given, runs))
    assert run.state == "finished" and run.metrics["rows"] > 0
    assert [entry["base"] for entry in read_header(runs.checkpoint(run.id))["lineage"]] == ["encoder"]


def test_an_old_run_without_these_settings_can_be_started_from(copied):
    """Checkpoints written before there was a lineage."""
    runs = RunStore(copied.checkpoint_dir)
    path = runs.checkpoint("finished")
    header = read_header(path)
    old = {name: value for name, value in header["config"].items() if name != "transfer"}
    update_header(path, {"config": old, "lineage": []})
    assert not bases.problems(following(runs), runs) and settings.from_dict(json.loads(json.dumps(old))).transfer.init_from == ""
