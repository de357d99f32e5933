"""``journal``, and ``--publish`` of rank and predict: what was said stays said."""

import json

import pytest


@pytest.fixture(scope="module")
def written(demo, tmp_path_factory):
    import shutil

    from tests.cli.conftest import Shell
    folder = tmp_path_factory.mktemp("written") / "copy"
    shutil.copytree(demo.folder, folder)
    shell = Shell(folder)
    shell.ranked = shell("rank", "first", "--top", "3", "--publish", "--json")
    shell.predicted = shell("predict", "first", "--symbol", shell.ranked.data["stocks"][0]["symbol"], "--publish", "--json")
    shell.past = shell("journal", "publish", "first", "--as-of", "2025-12-01", "--json")
    return shell


def test_rank_and_predict_publish(written):
    pool, stock, past = written.ranked.data["published"], written.predicted.data["published"], written.past.data
    assert (pool["number"], pool["kind"], pool["stocks"]) == (1, "pool", 60) and (stock["number"], stock["kind"]) == (2, "stock")
    assert past["number"] == 3 and past["late"] > 0
    assert "already is entry 1" in written("rank", "first", "--top", "3", "--publish").out


def test_list_shows_every_entry_and_that_the_chain_is_whole(written):
    found = written("journal", "--json").data
    assert [entry["number"] for entry in found["entries"]] == [3, 2, 1] and found["chain"]["intact"]
    assert "链条完整" in written("journal", "list", "first", "--language", "zh").out
    assert written("journal", "list", "nobody", "--json").data["entries"] == []


def test_score_tells_what_came_beside_the_naive_rules(written):
    found = written("journal", "score", "--json").data
    scored = [group for group in found["groups"] if group["track"]]
    assert len(scored) == 1 and scored[0]["late"] and {"zero", "reversal_5"} <= set(scored[0]["track"]["baselines"])
    text = written("journal", "score").out
    assert "LATE" in text and "Paper portfolio" in text and "Zero return" in text


def test_a_broken_chain_is_said_aloud(written, tmp_path):
    import shutil

    from tests.cli.conftest import Shell
    shutil.copytree(written.folder, tmp_path / "broken")
    shell = Shell(tmp_path / "broken")
    path = shell.folder / "runs" / "journal" / "forecasts.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(lines[0]), "late": 0, "as_of": "2020-01-01"}), *lines[1:]]) + "\n", "utf-8")
    assert "BROKEN" in shell("journal").out and not shell("journal", "--json").data["chain"]["intact"]


def test_what_is_wrong_is_said_in_one_line(demo):
    assert "Name the run" in demo.refuses("journal", "publish")
