"""A comparison trains what is missing, goes on where it was stopped, and refuses what cannot stand in one table."""

import json
import shutil
import threading

import pytest

from financial_model.errors import ConfigError, DataError, KairosError, NotFoundError, Stopped
from financial_model.serving import compare
from financial_model.serving.experiment import run_training
from financial_model.serving.jobs import JobService
from financial_model.serving.runs import RunStore
from tests.serving.builders import tiny, workspace_in


@pytest.fixture(scope="module")
def compared(market, tmp_path_factory):
    """(workspace, table) of two trained models: read it, do not write into it."""
    workspace = workspace_in(tmp_path_factory.mktemp("compared"))
    shutil.copytree(market.data_dir, workspace.data_dir)
    asked = compare.begin(workspace, tiny("duel", epochs=1), ("gru", "mlp"))
    return workspace, compare.work(workspace, asked.id)


def test_every_model_and_every_baseline_stands_in_the_table(compared):
    workspace, table = compared
    kinds = {kind: [row["name"] for row in table["rows"] if row["kind"] == kind] for kind in ("model", "baseline", "constant")}
    assert sorted(kinds["model"]) == ["gru", "mlp"] and len(kinds["baseline"]) >= 4 and len(kinds["constant"]) == 3
    gru = next(row for row in table["rows"] if row["name"] == "gru")
    assert gru["parameters"] > 100 and gru["seconds"] > 0 and gru["returns"]["way"] == "sign", "eight stocks are no portfolio to choose from"
    assert table["trials"] == 2 and table["bar_seconds"] == 86_400 and table["split"]["purge"] == 3
    assert json.loads((compare.find(workspace, "duel").path / compare.TABLE).read_text("utf-8")) == table


def test_members_are_ordinary_runs_on_one_split(compared):
    workspace, table = compared
    runs = RunStore(workspace.checkpoint_dir).list()
    assert {run.name for run in runs} == {"duel-gru", "duel-mlp"} and {run.state for run in runs} == {"finished"}
    figures = {run.id: run.metrics["mae_percent"] for run in runs}
    for row in table["rows"]:
        if row["kind"] == "model":
            assert row["metrics"]["mae_percent"] == figures[row["run"]], "the table repeats what each run's own test said"


def test_a_stopped_comparison_goes_on_and_trains_nothing_twice(filled):
    asked, stop = compare.begin(filled, tiny("halt", epochs=1), ("gru", "mlp")), threading.Event()
    runs = RunStore(filled.checkpoint_dir)

    def watch(stage, done=0, total=0):
        if stage == "compare_train" and done > 1.05:  # the first is done, the second has begun
            stop.set()

    with pytest.raises(Stopped):
        compare.work(filled, asked.id, progress=watch, stop=stop)
    first = compare.find(filled, asked.id)
    assert not first.done and set(first.members) == {"gru", "mlp"}
    stamp = (runs.info(first.members["gru"]).path / "final.safetensors").stat().st_mtime_ns
    table = compare.work(filled, asked.id)
    again = compare.find(filled, asked.id)
    assert again.members == first.members and again.done and len(runs.list()) == 2
    assert (runs.info(first.members["gru"]).path / "final.safetensors").stat().st_mtime_ns == stamp, "a finished member is not trained again"
    assert {row["name"] for row in table["rows"] if row["kind"] == "model"} == {"gru", "mlp"}


def test_an_existing_run_may_stand_beside_the_trained_ones(finished, copied):
    run = finished[1]
    asked = compare.begin(copied, tiny("beside", epochs=1, condition="concat"), ("mlp",), runs=[run.id])
    table = compare.work(copied, asked.id)
    assert {row["name"] for row in table["rows"] if row["kind"] == "model"} == {"mlp", "finished"}
    assert RunStore(copied.checkpoint_dir).info(run.id).updated == run.updated, "the existing run is only read"


def test_a_member_may_be_a_fine_tune_of_another_member_or_of_a_run(compared, tmp_path):
    """Wherever its base stands in the list, it is trained after it, moves what its method moves, and is tested on the same rows."""
    from financial_model.training.checkpoint import load_checkpoint

    workspace = workspace_in(tmp_path)
    shutil.copytree(compared[0].data_dir, workspace.data_dir)
    shutil.copytree(compared[0].checkpoint_dir, workspace.checkpoint_dir)
    store = RunStore(workspace.checkpoint_dir)
    known = compare.find(workspace, "duel").members["mlp"]
    asked = compare.begin(workspace, tiny("tuned", epochs=1), ("head:gru", "gru", f"head:{known}"))
    table = compare.work(workspace, asked.id)
    assert {row["name"] for row in table["rows"] if row["kind"] == "model"} == {"gru", "head:gru", f"head:{known}"} and not table["failed"]
    runs = {text: store.get(run) for text, run in compare.find(workspace, asked.id).members.items()}
    for text, base in (("head:gru", runs["gru"]), (f"head:{known}", store.get(known))):
        before, after = (load_checkpoint(run.path / "final.safetensors")[0].state_dict() for run in (base, runs[text]))
        moved = {name.partition(".")[0] for name in before if not before[name].equal(after[name])}
        assert moved == {"head"} and runs[text].run_config().transfer.method == "head"


@pytest.mark.parametrize(("text", "key"), [("shake:gru", "compare.not_a_member"), ("head:", "compare.not_a_member"),
                                           ("head:nowhere", "runs.unknown"), ("lora:head:gru", "runs.unknown")])
def test_a_fine_tune_of_nothing_is_refused_before_the_first_member_begins(filled, text, key):
    with pytest.raises(KairosError) as caught:
        compare.begin(filled, tiny(), ("gru", "mlp", text))
    assert caught.value.key == key and not compare.listed(filled)


def test_a_base_of_another_question_is_refused_at_once(copied, finished):
    with pytest.raises(ConfigError) as caught:
        compare.begin(copied, tiny(horizon=2, condition="concat"), ("gru", f"head:{finished[1].id}"))
    assert caught.value.key == "compare.impossible" and "horizon" in str(caught.value)


@pytest.mark.parametrize(("other", "key"), [({"up": 0.05}, "compare.other_question"), ({"train": 0.7}, "compare.other_split"),
                                            ({"groups": "return"}, "compare.other_data")])
def test_runs_on_another_basis_are_refused_in_plain_words(copied, finished, other, key):
    second = run_training(copied, tiny("second", epochs=1, condition="concat", **other))
    with pytest.raises(DataError) as caught:
        compare.begin(copied, None, runs=[finished[1].id, second.id])
    assert caught.value.key == key and second.id in str(caught.value) and not compare.listed(copied)


def test_a_run_on_other_data_is_refused_before_anything_is_trained(copied, finished):
    asked = compare.begin(copied, tiny("late", groups="return"), ("gru",), runs=[finished[1].id])
    with pytest.raises(DataError, match="other data"):
        compare.work(copied, asked.id)
    assert len(RunStore(copied.checkpoint_dir).list()) == 1


def test_what_is_wrong_is_found_before_the_first_member_begins(filled):
    for config, models, error in ((tiny(), ("gru",), "compare.too_few"), (tiny(heads=3), ("gru", "transformer"), "compare.impossible"),
                                  (tiny(), ("gru", "nothing"), "compare.impossible"), (tiny("n" * 30), ("gru", "mlp"), "compare.name_too_long")):
        with pytest.raises(ConfigError) as caught:
            compare.begin(filled, config, models)
        assert caught.value.key == error
    with pytest.raises(ConfigError):
        compare.begin(filled, tiny(), ("gru", "mlp"), rank_by="luck")
    assert not compare.listed(filled) and not RunStore(filled.checkpoint_dir).list()


def test_an_untested_run_is_named(copied, finished):
    untested = RunStore(copied.checkpoint_dir).create(tiny("fresh"))
    with pytest.raises(DataError) as caught:
        compare.begin(copied, None, runs=[finished[1].id, untested.id])
    assert caught.value.key == "compare.not_tested"


def test_one_that_fails_leaves_the_others_alone(filled, monkeypatch):
    from financial_model.serving import experiment

    whole = experiment.run_training

    def failing(workspace, config, **options):
        if config.model.backbone == "mlp":
            raise DataError("serving.no_data", folder="here")
        return whole(workspace, config, **options)

    monkeypatch.setattr(experiment, "run_training", failing)
    asked = compare.begin(filled, tiny("half", epochs=1), ("mlp", "gru"))
    table = compare.work(filled, asked.id)
    assert [row["name"] for row in table["rows"] if row["kind"] == "model"] == ["gru"] and "here" in table["failed"]["mlp"]["message"]


def test_a_deleted_member_is_trained_anew(compared, tmp_path):
    workspace = workspace_in(tmp_path)
    shutil.copytree(compared[0].data_dir, workspace.data_dir)
    shutil.copytree(compared[0].checkpoint_dir, workspace.checkpoint_dir)
    before = compare.find(workspace, "duel")
    RunStore(workspace.checkpoint_dir).delete(before.members["mlp"])
    compare.work(workspace, before.id)
    after = compare.find(workspace, before.id)
    assert after.members["gru"] == before.members["gru"] and after.members["mlp"] != before.members["mlp"]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(compared):
    for name in ("nothing", "../duel", ""):
        with pytest.raises(NotFoundError) as caught:
            compare.find(compared[0], name)
        assert "duel" in str(caught.value)


def test_as_a_job_it_waits_in_the_queue_of_the_trainings(compared, tmp_path):
    workspace = workspace_in(tmp_path)
    shutil.copytree(compared[0].data_dir, workspace.data_dir)
    shutil.copytree(compared[0].checkpoint_dir, workspace.checkpoint_dir)
    jobs = JobService(workspace)
    try:
        job = jobs.submit("compare", comparison=compare.find(workspace, "duel").id)
        done = jobs.wait(job.id, 60)
        assert job.lane == "device" and done["state"] == "finished" and len(done["result"]["rows"]) == len(compared[1]["rows"])
    finally:
        jobs.close()
