"""Killed in a download, in a panel and in a checkpoint: everything is readable, and every run comes to its end."""

import json
import sqlite3
import sys

import pytest

from benchmarks import crash
from benchmarks.readable import look

SMALL = crash.Size(stocks=14, days=420, settings={
    "model": "gru", "hidden": 32, "layers": 1, "context_length": 8, "epochs": 6, "windows_per_epoch": 2000, "patience": 0, "horizon": 3,
    "groups": "return", "resume_every": 1, "save_every": 1, "device": "cpu"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process groups and SIGKILL as Linux has them")
def test_three_kills_leave_nothing_unreadable_and_nothing_unfinished(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kills = [(stage, "command", 1.0) for stage in ("download", "panel", "checkpoint")]
    report = crash.run(kills, seed=3, size=SMALL, say=lambda text: None, compare=False)
    assert [kill["stage"] for kill in report["kills"]] == ["download", "panel", "checkpoint"]
    assert [fault for kill in report["kills"] for fault in kill["faults"]] + report["end"]["faults"] == []
    assert [kill["state"] for kill in report["kills"]] == ["", "interrupted", "interrupted"]
    assert report["passed"] and report["end"]["resumed"] >= 1
    assert {"csv", "sqlite", "safetensors", "json", "jsonl", "npy"} <= set(report["end"]["read"])
    table = crash.render(report)
    assert table.count("| none |") == 3 and "all finished" in table


@pytest.mark.parametrize("kills", [1, 3, 8, 20])
def test_kills_are_spread_over_the_stages_and_doors_and_drawn_from_the_seed(kills):
    planned = crash.plan(kills, seed=5)
    assert len(planned) == kills and planned == crash.plan(kills, seed=5)
    stages = [stage for stage, _, _ in planned]
    assert max(map(stages.count, crash.STAGES)) - min(map(stages.count, crash.STAGES)) <= 1
    if kills == 20:
        assert planned != crash.plan(kills, seed=6) and {door for _, door, _ in planned} == {"command", "server"}
        assert stages[:6] == ["download"] * 5 + ["panel"], "there must be something to train on, and a run to resume"


def test_what_cannot_be_read_is_found(tmp_path):
    (tmp_path / "state.json").write_text('{"state": "runn')
    (tmp_path / "final.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{}")
    (tmp_path / "values.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "market.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(200)))
    (tmp_path / "events.jsonl").write_text('{"kind": "run"}\nnonsense\n{"torn": ')
    found = look(tmp_path)
    assert sorted(fault.partition(":")[0] for fault in found.faults) == [
        "events.jsonl", "final.safetensors", "market.sqlite", "state.json", "values.npy"]
    assert not found.read


def test_whole_files_torn_last_lines_and_leftovers_are_no_faults(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({"state": "running"}))
    (tmp_path / "events.jsonl").write_text('{"kind": "run"}\n{"torn": ')
    with sqlite3.connect(tmp_path / "market.sqlite") as database:
        database.execute("create table bars (date)")
    database.close()
    (tmp_path / ".final.safetensors.x1.tmp").write_bytes(b"half")
    found = look(tmp_path)
    assert found.faults == [] and found.leftovers == 1 and dict(found.read) == {"json": 1, "jsonl": 1, "sqlite": 1}


def test_a_failure_is_told_as_one():
    kill = {"stage": "panel", "door": "server", "moment": "m", "run": "r", "state": "gone", "read": 1, "leftovers": 0, "faults": ["a.json: torn"]}
    text = crash.render({"seed": 1, "kills": [kill], "end": {"runs": 0, "resumed": 0, "read": {}, "faults": ["r is gone"]}, "passed": False})
    assert "a.json: torn" in text and "NOT passed" in text and "r is gone" in text
