"""The loop: it learns, it is exact, it stops, it says what happened, and it never looks at the test part."""

import dataclasses
import errno
import gc
import math
import sys
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from financial_model.config import RunConfig, TrainConfig
from financial_model.datasets.splits import date_split
from financial_model.errors import ConfigError, DataError, KairosError, StorageError
from financial_model.models.forecaster import Forecaster
from financial_model.training import reporter, session
from financial_model.training.checkpoint import load_checkpoint, read_header
from financial_model.training.events import read_events
from financial_model.training.resume import resume_path
from tests.training.builders import StopAfter, events_of, make_config, run

GOLDEN = {}


def weights(folder, name="final"):
    return load_file(folder / f"{name}.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ---------------------------------------------------------------- it learns
@pytest.mark.parametrize("head, constant", [("point", "zero"), ("quantile", "train_quantiles"), ("classes", "train_frequencies")])
def test_a_planted_signal_is_found(tmp_path, panel, head, constant):
    result = run(make_config(head=head, epochs=6, model={"dropout": 0.0, "linear_start": False}), panel, tmp_path)
    assert result.state == "finished" and result.best_loss < 0.9 * result.baselines[constant]
    losses = [event["metrics"]["train_loss"] for event in events_of(tmp_path, "epoch")]
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_again_is_the_same_bit_for_bit(tmp_path, panel):
    config = make_config(model={"condition": "film"})
    for name in "ab":
        run(config, panel, tmp_path / name)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_another_seed_is_another_model(tmp_path, panel):
    for seed in (1, 2):
        run(make_config(seed=seed), panel, tmp_path / str(seed))
    assert not same(weights(tmp_path / "1"), weights(tmp_path / "2"))


def test_accumulated_batches_equal_one_large_batch(tmp_path, panel):
    """Also at the end of an epoch, where both the last batch and the last step are smaller."""
    for name, settings in {"large": {"batch_size": 128}, "accumulated": {"batch_size": 32, "accumulation": 4}}.items():
        result = run(make_config(**settings, epochs=3, model={"dropout": 0.0}), panel, tmp_path / name)
        assert result.step == 3 * math.ceil(565 / 128)
    large, accumulated = weights(tmp_path / "large"), weights(tmp_path / "accumulated")
    for name in large:
        torch.testing.assert_close(accumulated[name], large[name], atol=2e-4, rtol=2e-3)


# ---------------------------------------------------------------- what it says
def test_a_run_tells_its_facts_stages_and_constants_first(tmp_path, panel):
    run(make_config(), panel, tmp_path)
    events, _ = read_events(tmp_path / "events.jsonl")
    kinds = [event["kind"] for event in events]
    drawn = [event["name"] for event in events if event["kind"] == "baseline"]
    assert set(drawn) == {"zero", "train_mean", "ridge", "persistence", "reversal_5", "momentum_12_1", "moving_average"}
    assert kinds[:3 + len(drawn)] == ["stage", "run", *["baseline"] * len(drawn), "stage"]
    facts = events[1]
    assert facts["parameters"] > 0 and facts["device"] == "cpu" and facts["precision"] == "fp32" and facts["steps"] == 18
    assert facts["compile"].startswith("Not compiled") and facts["windows"] == {"train": 565, "validation": 65, "epoch": 565, "evaluation": 65}
    assert [event["stage"] for event in events if event["kind"] == "stage"] == ["split", "train"]


def test_every_window_is_counted_once_in_the_curve(tmp_path, panel, monkeypatch):
    monkeypatch.setattr(reporter, "POINT_SECONDS", 0.0)
    run(make_config(), panel, tmp_path)
    steps = events_of(tmp_path, "step")
    assert [event["step"] for event in steps] == list(range(1, 19))
    assert set(steps[0]["metrics"]) == {"loss", "grad_norm", "learning_rate", "windows_per_second", "eta_seconds"}
    for event, first in zip(events_of(tmp_path, "epoch"), (0, 9), strict=True):
        sizes = np.array([64] * 8 + [565 - 8 * 64])
        losses = [step["metrics"]["loss"] for step in steps[first:first + 9]]
        assert event["metrics"]["train_loss"] == pytest.approx((sizes * losses).sum() / 565)


def test_points_come_at_most_twice_a_second(tmp_path, panel):
    run(make_config(epochs=6), panel, tmp_path)
    times = [event["time"] for event in events_of(tmp_path, "step")]
    assert len(times) < 6 * 9 and events_of(tmp_path, "step")[0]["step"] == 1, "the first point comes at once"
    assert [event["step"] for event in events_of(tmp_path, "step")][-1] == 54, "and the curve reaches the end"


def test_evaluations_are_spread_over_the_epoch(tmp_path, panel):
    run(make_config(epochs=2, evaluations_per_epoch=3), panel, tmp_path)
    assert [event["step"] for event in events_of(tmp_path, "epoch")] == [3, 6, 9, 12, 15, 18]
    assert [event["epoch"] for event in events_of(tmp_path, "epoch")][-1] == 2.0


def test_more_evaluations_than_steps_evaluate_every_step(tmp_path, panel):
    run(make_config(epochs=1, evaluations_per_epoch=50), panel, tmp_path)
    assert [event["step"] for event in events_of(tmp_path, "epoch")] == list(range(1, 10))


def test_scores_stand_in_the_curve_and_in_the_header(tmp_path, panel):
    seen = []

    def score(prediction, given):
        assert given is panel
        seen.append(panel.time[prediction.end])
        return {"ic": np.float32(0.25), "icir": float("nan")}

    run(make_config(), panel, tmp_path, score=score)
    assert [event["metrics"]["ic"] for event in events_of(tmp_path, "epoch")] == [0.25, 0.25]
    header = read_header(tmp_path / "final.safetensors")
    assert header["validation"]["ic"] == 0.25 and header["validation"]["icir"] is None and header["metrics"] == {}
    first, last = date_split(panel.time, make_config().split, 2).validation
    assert all(((times >= first) & (times <= last)).all() for times in seen)


def test_a_limited_epoch_draws_other_windows_each_time(tmp_path, panel):
    result = run(make_config(epochs=3, windows_per_epoch=100), panel, tmp_path)
    assert result.step == 3 * 2
    assert events_of(tmp_path, "run")[0]["windows"]["epoch"] == 100


# ---------------------------------------------------------------- the files
def test_files_of_a_run(tmp_path, panel):
    result = run(make_config(epochs=4, save_every=2), panel, tmp_path)
    names = {path.name for path in tmp_path.glob("*.safetensors")}
    assert names == {"best.safetensors", "last.safetensors", "epoch2.safetensors", "epoch4.safetensors", "final.safetensors"}
    assert result.checkpoint == tmp_path / "final.safetensors"
    assert same(weights(tmp_path, "last"), weights(tmp_path, "epoch4"))
    assert {event["name"] for event in events_of(tmp_path, "checkpoint")} == names


def test_the_final_file_holds_the_best_weights_and_what_a_forecast_needs(tmp_path, panel):
    result = run(make_config(epochs=8, learning_rate=0.05, schedule="constant"), panel, tmp_path)
    assert 0 < result.best_step < result.step, "the test needs a run that gets worse"
    assert same(weights(tmp_path, "final"), weights(tmp_path, "best")) and not same(weights(tmp_path, "final"), weights(tmp_path, "last"))
    model, header = load_checkpoint(result.checkpoint)
    assert header["training"]["step"] == result.best_step and header["validation"]["loss"] == result.best_loss
    assert np.shape(header["extras"]["residual_quantiles"]) == (2, 7)
    assert header["data"]["fingerprint"] == panel.fingerprint and header["symbols"] == list(panel.symbols)
    assert header["split"]["test"]["first"] > header["split"]["validation"]["last"] > header["split"]["train"]["last"]


@pytest.mark.parametrize("normalisation", ["zscore", "last_close", "minmax"])
def test_every_normalisation_trains(tmp_path, panel, normalisation):
    run(make_config(epochs=1, features={"normalisation": normalisation}), panel, tmp_path)
    assert (read_header(tmp_path / "final.safetensors")["table"] is None) == (normalisation == "zscore")


def test_returns_as_unit_are_scaled_by_the_training_spread(tmp_path, panel):
    result = run(make_config(epochs=1, label={"unit": "return"}), panel, tmp_path)
    assert result.baselines["zero"] == pytest.approx(1.0, rel=0.5), "in units, doing nothing costs about one"


# ---------------------------------------------------------------- stopping
@pytest.mark.parametrize("looks", [0, 1, 5, 9, 12])
def test_a_stop_keeps_the_state_and_resuming_changes_nothing(tmp_path, panel, looks):
    config = make_config(evaluations_per_epoch=2)
    run(config, panel, tmp_path / "reference")
    result = run(config, panel, tmp_path / "run", stop=StopAfter(looks))
    assert result.state == "stopped" and result.checkpoint.name == "stopped.safetensors" and resume_path(tmp_path / "run").exists()
    load_checkpoint(result.checkpoint)
    assert not (tmp_path / "run" / "final.safetensors").exists()
    assert run(config, panel, tmp_path / "run", resume=True).state == "finished"
    assert same(weights(tmp_path / "run"), weights(tmp_path / "reference"))


def test_a_stop_is_obeyed_at_the_next_step(tmp_path, panel):
    assert run(make_config(), panel, tmp_path, stop=StopAfter(4)).step == 4


def test_nothing_improves_then_it_stops_early(tmp_path, panel, monkeypatch):
    losses = iter([1.0, 0.9, 0.95, 0.91, 0.9, 0.8])
    original = session.evaluate
    monkeypatch.setattr(session, "evaluate", lambda *a: dataclasses.replace(original(*a), loss=next(losses)))
    result = run(make_config(epochs=6, patience=3), panel, tmp_path)
    assert result.early and result.state == "finished" and result.step == 5 * 9
    assert (result.best_step, result.best_loss, result.best_epoch) == (18, 0.9, 2.0)
    assert [event["best"] for event in events_of(tmp_path, "epoch")] == [True, True, False, False, False]
    assert run(make_config(epochs=6, patience=3), panel, tmp_path, resume=True).step == 5 * 9, "an early end stays an end"


def test_patience_zero_never_stops_early(tmp_path, panel, monkeypatch):
    original = session.evaluate
    monkeypatch.setattr(session, "evaluate", lambda *a: dataclasses.replace(original(*a), loss=1.0))
    assert not run(make_config(epochs=4, patience=0), panel, tmp_path).early


# ---------------------------------------------------------------- when it goes wrong
def poison(monkeypatch, when):
    """The objective gives NaN at the ``when``-th training step."""
    original, count = session.objective, [0]

    def build(*arguments):
        loss = original(*arguments)

        def poisoned(outputs, z, label, date=None):
            count[0] += torch.is_grad_enabled() and next(iter(outputs.values())).requires_grad
            return loss(outputs, z, label) * (math.nan if count[0] == when else 1.0)

        return poisoned

    monkeypatch.setattr(session, "objective", build)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(tmp_path, panel, monkeypatch):
    config = make_config(epochs=2)
    stopped = run(config, panel, tmp_path / "good", stop=StopAfter(14))
    assert stopped.step == 11
    poison(monkeypatch, when=12)
    with pytest.raises(KairosError) as caught:
        run(config, panel, tmp_path / "bad")
    assert caught.value.key == "training.not_finite" and caught.value.fields["epoch"] == 2 and caught.value.fields["step"] == 12
    assert "step 12" in str(caught.value) and "12" in caught.value.message("zh")
    assert same(weights(tmp_path / "bad", "last"), weights(tmp_path / "good", "stopped"))
    assert (tmp_path / "bad" / "best.safetensors").exists() and resume_path(tmp_path / "bad").exists()


def test_where_nobody_looks_at_a_gradient_the_files_keep_the_weights_of_before_it(tmp_path, panel, monkeypatch):
    """On a GPU the loss of step 12 is seen at the next point of the curve; the steps between move nothing."""
    config = make_config(epochs=2)
    assert run(config, panel, tmp_path / "good", stop=StopAfter(14)).step == 11
    monkeypatch.setattr(session.Session, "point_due", lambda self: False)
    original = session.TrainingStep

    def unseen(*arguments, **options):
        step = original(*arguments, **options)
        step.looks = False
        return step

    monkeypatch.setattr(session, "TrainingStep", unseen)
    poison(monkeypatch, when=12)
    with pytest.raises(KairosError) as caught:
        run(config, panel, tmp_path / "bad")
    assert caught.value.key == "training.not_finite" and caught.value.fields["step"] > 12, "seen later than it happened"
    assert same(weights(tmp_path / "bad", "last"), weights(tmp_path / "good", "stopped"))


def test_the_curves_of_bf16_lie_at_those_of_fp32(tmp_path, panel):
    curves = []
    for precision in ("fp32", "bf16"):
        config = make_config(precision=precision, epochs=3, learning_rate=1e-2, model={"linear_start": False, "skip": False, "dropout": 0.0})
        run(config, panel, tmp_path / precision)
        curves.append([event["metrics"][name] for event in events_of(tmp_path / precision, "epoch") for name in ("loss", "train_loss")])
    assert curves[0][-1] < 0.9 * curves[0][1], "something is learned on the way"
    assert curves[1] == pytest.approx(curves[0], rel=0.005) and curves[1] != curves[0]


def test_fewer_windows_than_a_batch_are_not_called_compiled(tmp_path, panel, monkeypatch):
    monkeypatch.setattr(session, "choose_compile", lambda choice, device: (True, "training.compile_on"))
    run(make_config(epochs=1, batch_size=4096, compile="on"), panel, tmp_path)
    (facts,) = events_of(tmp_path, "run")
    assert facts["compile_key"] == "training.compile_short"


def test_a_validation_loss_that_is_not_a_number_is_said(tmp_path, panel, monkeypatch):
    original = session.evaluate
    monkeypatch.setattr(session, "evaluate", lambda *a: dataclasses.replace(original(*a), loss=math.nan))
    with pytest.raises(KairosError) as caught:
        run(make_config(), panel, tmp_path)
    assert caught.value.key == "training.validation_not_finite" and not (tmp_path / "best.safetensors").exists()


def test_bad_weights_never_replace_a_good_resume_point(tmp_path, panel, monkeypatch):
    """On a GPU nobody waits for the loss of a step, so the weights may be spoiled before it is seen."""
    run(make_config(), panel, tmp_path, stop=StopAfter(3))
    before, original = resume_path(tmp_path).read_bytes(), session.Session.learn

    def spoil(self, batch):
        done = original(self, batch)
        with torch.no_grad():
            self.model.head.readout.bias.fill_(math.nan)
        return done

    monkeypatch.setattr(session.Session, "learn", spoil)
    monkeypatch.setattr(session.Session, "seconds_since_save", lambda self: 0.0 if self.progress.step < 4 else math.inf)
    with pytest.raises(KairosError) as caught:
        run(make_config(), panel, tmp_path, resume=True)
    assert caught.value.key == "training.not_finite"
    assert resume_path(tmp_path).read_bytes() == before


def test_a_learning_rate_that_blows_up_is_said(tmp_path, panel):
    config = make_config(learning_rate=1.0, clip_norm=0.0, schedule="constant", warmup=0.0, epochs=2, objective="mse", features={"clip": 0.0})
    loud = dataclasses.replace(panel, values=panel.values * np.float32(1e30))
    try:
        result = run(config, loud, tmp_path)
    except KairosError as error:
        assert error.key in ("training.not_finite", "training.validation_not_finite")
    else:
        assert math.isfinite(result.best_loss)


def test_a_run_whose_memory_is_too_small_goes_on_to_the_same_weights(tmp_path, panel, monkeypatch):
    """The model itself raises torch's own error on more than 20 windows, in training only."""
    config = make_config(model={"dropout": 0.0}, accumulation=2, epochs=1)
    run(config, panel, tmp_path / "large")
    original = Forecaster.forward

    def forward(self, x, *rest):
        if self.training and len(x) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, x, *rest)

    monkeypatch.setattr(Forecaster, "forward", forward)
    run(config, panel, tmp_path / "small")
    first, second = events_of(tmp_path / "small", "warning")
    assert [event["fields"] for event in (first, second)] == [{"rows": 64, "half": 32}, {"rows": 32, "half": 16}]
    assert "Memory ran out with 64 windows" in first["message"]
    for one, two in zip(weights(tmp_path / "large", "last").values(), weights(tmp_path / "small", "last").values(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_without_triton_a_run_trains(tmp_path, panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    for name in [name for name in sys.modules if name.endswith(("kernels.windows_gpu", "kernels.norms_gpu"))]:
        monkeypatch.delitem(sys.modules, name)
    model = {"backbone": "tsf", "hidden": 16, "layers": 1, "heads": 2, "experts": 2}  # RMSNorm, attention, experts
    assert run(make_config(model=model, epochs=1, windows_per_epoch=64), panel, tmp_path).state == "finished"


def test_memory_that_runs_out_outside_a_batch_is_said(tmp_path, panel, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(session, "evaluate", full)
    with pytest.raises(KairosError) as caught:
        run(make_config(), panel, tmp_path)
    assert caught.value.key == "training.out_of_memory"


def test_a_full_disk_is_said_and_leaves_the_files_whole(tmp_path, panel, monkeypatch):
    import financial_model.paths as paths

    run(make_config(epochs=1), panel, tmp_path)
    before = (tmp_path / "best.safetensors").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(paths.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        run(make_config(epochs=1), panel, tmp_path)
    assert (tmp_path / "best.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_settings_that_cannot_work_are_refused_before_anything_is_written(tmp_path, panel):
    with pytest.raises(ConfigError):
        run(dataclasses.replace(make_config(), training=TrainConfig(learning_rate=0.0)), panel, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_long_a_window_says_which_part_has_none(tmp_path, panel):
    with pytest.raises(DataError) as caught:
        run(make_config(context_length=149), panel, tmp_path)
    assert caught.value.key == "training.no_windows" and "149" in str(caught.value)


# ---------------------------------------------------------------- the test part
def test_the_test_part_is_never_read(tmp_path, panel):
    """Whatever stands in the test rows, even if nothing stands there, the run is the same."""
    config = make_config(evaluations_per_epoch=2)
    first = date_split(panel.time, config.split, config.label.horizon).test[0]
    test = panel.time >= first

    def without_test(array):
        changed = np.array(array)
        changed[test] = np.nan if changed.dtype.kind == "f" else 1
        return changed

    names = ("values", "prices", "volatility", "ranks", "conditions", "tradable")
    blind = dataclasses.replace(panel, **{name: without_test(getattr(panel, name)) for name in names})
    results = [run(config, given, tmp_path / name) for name, given in (("seeing", panel), ("blind", blind))]
    for name in ("final", "last"):
        assert same(weights(tmp_path / "seeing", name), weights(tmp_path / "blind", name))
    headers = [read_header(result.checkpoint) for result in results]
    assert {**headers[0], "created": ""} == {**headers[1], "created": ""}


def test_validation_rows_do_not_reach_the_tables(tmp_path, panel):
    config = make_config(epochs=1)
    first = date_split(panel.time, config.split, config.label.horizon).validation[0]
    shifted = np.array(panel.values)
    shifted[panel.time >= first] += 5
    run(config, panel, tmp_path / "a")
    run(config, dataclasses.replace(panel, values=shifted), tmp_path / "b")
    tables = [read_header(tmp_path / name / "final.safetensors") for name in "ab"]
    assert tables[0]["table"] == tables[1]["table"] and tables[0]["label_scale"] == tables[1]["label_scale"]


# ---------------------------------------------------------------- a good guest in its process
def test_memory_is_given_back_at_once(tmp_path, panel, monkeypatch):
    """Without waiting for the garbage collector, which does not know how large a model is."""
    original, models = session.build_forecaster, []

    def build(*arguments, **options):
        model = original(*arguments, **options)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(session, "build_forecaster", build)
    gc.disable()
    try:
        run(make_config(epochs=1), panel, tmp_path / "finished")
        run(make_config(), panel, tmp_path / "stopped", stop=StopAfter(3))
        poison(monkeypatch, when=2)
        with pytest.raises(KairosError) as caught:
            run(make_config(), panel, tmp_path / "failed")
        caught.value.__traceback__ = caught.value.__cause__ = caught.value.__context__ = None
        del caught
        assert len(models) == 3 and [model() for model in models] == [None] * 3
    finally:
        gc.enable()


def test_settings_of_the_process_are_put_back(tmp_path, panel):
    assert not torch.are_deterministic_algorithms_enabled()
    seen = []

    class Look(StopAfter):
        def is_set(self):
            seen.append(torch.are_deterministic_algorithms_enabled())
            return super().is_set()

    run(make_config(), panel, tmp_path, stop=Look(2))
    assert all(seen) and not torch.are_deterministic_algorithms_enabled()


def test_the_default_configuration_is_one_that_trains(panel):
    """Its defaults pass the checks that a start makes."""
    from financial_model.config import problems

    assert problems(RunConfig()) == []
