"""Runs are folders with an id; their state is on disk; nothing outside the folder can be named."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from financial_model import config as settings
from financial_model.errors import CheckpointError, ConfigError, JobError, NotFoundError, Phrase
from financial_model.serving import trash
from financial_model.serving.runs import METRICS, RunStore
from financial_model.training.events import EventLog


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "checkpoints")


def config(name="demo", **values):
    return settings.build({"name": name, **values})


def write_state(run, **changes):
    path = run.path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ---------------------------------------------------------------- ids
def test_an_id_is_the_name_and_the_time(store):
    run = store.create(config("my.run-1"))
    assert re.fullmatch(r"my\.run-1_\d{8}_\d{6}", run.id)
    assert run.name == "my.run-1" and run.path.parent == store.root.resolve()


def test_ids_within_one_second_differ(store):
    ids = [store.create(config()).id for _ in range(5)]
    assert len(set(ids)) == 5
    assert [run.id for run in store.list()] == ids[::-1]


def test_ids_made_at_the_same_moment_by_several_threads_differ(store):
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: store.create(config()).id, range(16)))
    assert len(set(ids)) == 16


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", "..", ".hidden", "x" * 61, "a b", "con", "名/字", "x\n"])
def test_a_name_that_is_no_file_name_is_refused(store, name):
    with pytest.raises(ConfigError):
        store.create(config(name))
    assert store.list() == []


def test_chinese_names_are_fine(store):
    created = store.create(config("茅台"))
    assert store.get("茅台").id == created.id and created.name == "茅台"


# ---------------------------------------------------------------- finding
def test_a_name_means_its_newest_run(store):
    store.create(config("a"))
    newest = store.create(config("a"))
    store.create(config("b"))
    assert store.get("a").id == newest.id


def test_an_unknown_run_names_the_known_ones(store):
    store.create(config("alpha"))
    with pytest.raises(NotFoundError, match="alpha"):
        store.get("beta")


@pytest.mark.parametrize("attempt", [
    "..", ".", "../other", "/etc", "/etc/passwd", "a/../..", "..\\..", "%2e%2e", "\x00", "", ".trash", ".lock", "demo/../../secret", "~", "C:\\x"])
def test_no_path_leads_out_of_the_folder(store, attempt, tmp_path):
    store.create(config())
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "state.json").write_text("{}")
    for ask in (store.get, store.info, store.checkpoint, store.curves, store.log_tail, store.events, store.delete, store.restore,
                lambda name: store.rename(name, "x"), lambda name: store.claim(name, "preparing")):
        with pytest.raises(NotFoundError):
            ask(attempt)


def test_a_link_that_leads_outside_is_no_run(store, tmp_path):
    store.create(config())
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "state.json").write_text('{"state": "finished"}')
    (outside / "config.json").write_text("{}")
    os.symlink(outside, store.root / "linked_20240101_000000")
    with pytest.raises(NotFoundError):
        store.get("linked_20240101_000000")
    assert [run.name for run in store.list()] == ["demo"]


def test_a_checkpoint_that_is_a_link_to_elsewhere_is_not_given_out(store, tmp_path):
    run = store.create(config())
    (tmp_path / "secret").write_text("x")
    os.symlink(tmp_path / "secret", run.path / "best.safetensors")
    with pytest.raises(NotFoundError):
        store.checkpoint(run.id, "best")


@pytest.mark.parametrize("kind", ["../state", "state.json", "resume/optimizer", "epoch", "epoch-1", "best.safetensors", "evil"])
def test_only_checkpoints_are_checkpoints(store, kind):
    run = store.create(config())
    (run.path / "best.safetensors").write_bytes(b"x")
    with pytest.raises(NotFoundError, match="best"):
        store.checkpoint(run.id, kind)


def test_a_run_without_any_checkpoint_says_what_to_do(store):
    run = store.create(config())
    with pytest.raises(NotFoundError, match="first evaluation"):
        store.checkpoint(run.id)


def test_without_a_kind_the_finished_checkpoint_is_chosen(store):
    run = store.create(config())
    for kind in ("last", "epoch10", "epoch2", "best"):
        (run.path / f"{kind}.safetensors").write_bytes(b"x")
    assert store.info(run.id).checkpoints == ("best", "last", "epoch2", "epoch10")
    assert store.checkpoint(run.id).name == "best.safetensors"
    (run.path / "final.safetensors").write_bytes(b"x")
    assert store.checkpoint(run.id).name == "final.safetensors"
    assert store.checkpoint(run.id, "epoch2").name == "epoch2.safetensors"


def test_a_damaged_run_is_left_out_of_the_list_and_named_when_asked_for(store):
    good, bad = store.create(config("good")), store.create(config("bad"))
    (bad.path / "config.json").write_text("{broken")
    assert [run.id for run in store.list()] == [good.id]
    with pytest.raises(CheckpointError, match="config.json"):
        store.get(bad.id)


def test_folders_that_are_no_runs_are_left_out(store):
    store.root.mkdir()
    (store.root / "notes").mkdir()
    (store.root / "file.txt").write_text("x")
    assert store.list() == []


# ---------------------------------------------------------------- state
def test_a_run_whose_process_is_gone_reads_interrupted(store):
    run = store.create(config(), state="running")
    assert store.state(run.id) == "running"
    write_state(run, pid=2**22 + 1)
    info = store.get(run.id)
    assert info.state == "interrupted" and info.resumable and "resume" in info.message("en").lower()
    write_state(run, state="finished")
    assert store.state(run.id) == "finished"


def test_a_run_of_another_process_is_running_until_that_process_dies(store):
    script = ("import sys, time; from pathlib import Path; from financial_model.serving.runs import RunStore; from financial_model import config\n"
              "run = RunStore(Path(sys.argv[1])).create(config.build({'name': 'child'}), state='running'); print(run.id, flush=True); time.sleep(60)")
    child = subprocess.Popen([sys.executable, "-c", script, str(store.root)], stdout=subprocess.PIPE, text=True)
    run_id = child.stdout.readline().strip()
    assert store.state(run_id) == "running"
    with pytest.raises(JobError):
        store.claim(run_id, "preparing")
    with pytest.raises(JobError) as caught:
        store.delete(run_id)
    assert "is running and" in str(caught.value) and "正在训练" in caught.value.message("zh")
    child.kill()
    child.wait()
    assert store.state(run_id) == "interrupted"
    assert store.claim(run_id, "preparing").state == "preparing"


def test_of_two_that_claim_a_run_one_gets_it(store):
    run = store.create(config(), state="stopped")

    def claim(_):
        try:
            return store.claim(run.id, "preparing").state
        except JobError as error:
            return error.key

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(claim, range(8)))
    assert sorted(results) == ["preparing"] + ["runs.already_active"] * 7


def test_a_finished_run_cannot_be_claimed(store):
    run = store.create(config(), state="finished")
    with pytest.raises(JobError, match="finished"):
        store.claim(run.id, "queued")


def test_a_released_run_is_what_it_was_before(store):
    run = store.create(config())
    store.set_state(run.id, "failed", "runs.failed_unexpectedly", {"id": "abc"})
    store.claim(run.id, "queued")
    assert store.state(run.id) == "queued" and store.info(run.id).message() == ""
    store.release(run.id)
    assert store.state(run.id) == "failed" and "abc" in store.info(run.id).message("zh")


def test_the_sentence_of_a_failure_is_kept_and_translated(store):
    run = store.create(config())
    store.set_state(run.id, "failed", "config.heads_divide", {"heads": 7, "hidden": 256, "good": "1, 2"})
    info = store.info(run.id)
    assert "7 attention heads" in info.message("en") and "注意力头" in info.message("zh")
    store.set_state(run.id, "failed", "split.too_short", {"part": Phrase("split.part.test"), "sessions": 3, "total": 90, "needed": 6})
    info = store.info(run.id)
    assert "The test part has 3" in info.message("en") and "测试部分" in info.message("zh"), "also what is itself a piece of the catalogue"


# ---------------------------------------------------------------- renaming, deleting
def test_renaming_keeps_the_time_and_changes_the_name(store):
    run = store.create(config("old"))
    store.set_state(run.id, "finished")
    renamed = store.rename(run.id, "new")
    assert renamed.id == run.id.replace("old", "new") and renamed.name == "new" and renamed.run_config().name == "new"
    assert store.get("new").id == renamed.id
    with pytest.raises(NotFoundError):
        store.get("old")


def test_renaming_to_a_bad_name_changes_nothing(store):
    run = store.create(config("old"), state="finished")
    with pytest.raises(ConfigError):
        store.rename(run.id, "../new")
    assert store.get("old").id == run.id


def test_an_active_run_is_neither_renamed_nor_deleted(store):
    run = store.create(config(), state="running")
    with pytest.raises(JobError):
        store.rename(run.id, "x")
    with pytest.raises(JobError):
        store.delete(run.id)
    assert store.get(run.id).state == "running"


def test_deleting_can_be_undone(store):
    run = store.create(config(), state="finished")
    (run.path / "best.safetensors").write_bytes(b"weights")
    assert store.delete(run.id) == run.id
    assert store.list() == []
    assert store.restore(run.id).checkpoints == ("best",)
    store.delete(run.id)
    count, size = store.trash.held()
    assert count == 1 and size > len(b"weights")
    assert store.trash.empty() == 1 and store.trash.held() == (0, 0) and store.trash.folders() == []
    with pytest.raises(NotFoundError):
        store.restore(run.id)
    assert store.trash.empty() == 0


def test_an_emptied_trash_keeps_what_counts_as_a_trial(store):
    run = store.create(config(), state="finished")
    (run.path / "best.safetensors").write_bytes(b"weights")
    (run.path / "resume").mkdir()
    (run.path / "resume" / "state.safetensors").write_bytes(b"more")
    (run.path / METRICS).write_text("{}")
    store.delete(run.id)
    store.trash.empty()
    (folder,) = store.trash.folders()
    assert [path.name for path in folder.iterdir()] == [METRICS] and store.trash.held() == (0, 0)
    with pytest.raises(NotFoundError):
        store.restore(run.id)


def test_half_a_run_is_never_brought_back_and_the_rest_of_it_goes_next_time(store):
    """As after a kill while the trash was emptied."""
    run = store.create(config(), state="finished")
    (run.path / "best.safetensors").write_bytes(b"weights")
    store.delete(run.id)
    assert [path.name for path in trash._rest(store.trash.root / run.id)][0] == "config.json"
    (store.trash.root / run.id / "config.json").unlink()
    with pytest.raises(NotFoundError):
        store.restore(run.id)
    count, size = store.trash.held()
    assert count == 1 and size >= len(b"weights")
    assert store.trash.empty() == 1 and store.trash.folders() == []


# ---------------------------------------------------------------- log and curves
def test_the_log_tail_is_its_last_lines(store):
    run = store.create(config())
    assert store.log_tail(run.id) == ""
    (run.path / "log.txt").write_text("".join(f"line {n} 中\n" for n in range(100_000)), encoding="utf-8")
    assert store.log_tail(run.id, 2) == "line 99998 中\nline 99999 中"


def test_curves_grow_with_the_events_and_stay_within_the_limit(store):
    run = store.create(config())
    assert store.curves(run.id)["series"] == {}
    with EventLog(run.path / "events.jsonl") as log:
        for number in range(1, 1001):
            log.append("step", step=number, epoch=number / 100, split="train", metrics={"loss": 1 / number})
        first = store.curves(run.id)["series"]["train/loss"]
        assert len(first["step"]) <= 400 and first["step"][-1] == 1000
        log.append("step", step=1001, epoch=10.01, split="train", metrics={"loss": 0.5})
        assert store.curves(run.id)["series"]["train/loss"]["value"][-1] == 0.5
    (run.path / "events.jsonl").unlink()
    assert store.curves(run.id)["series"] == {}


def test_the_list_is_readable_as_json(store):
    store.create(config("a", backbone="gru", symbols="600519.SH"))
    entry = json.loads(json.dumps(store.list()[0].to_json("zh"), ensure_ascii=False))
    assert entry["config"]["model"] == "gru" and entry["config"]["symbols"] == ["600519.SH"] and entry["state"] == "queued"
