"""``sweep`` as a command: one JSON object, a table, a CSV, and sentences for what is wrong."""

import csv
import shutil

from tests.cli.conftest import TINY, Shell


def test_a_sweep_answers_with_its_trials_and_the_test_of_the_best(demo, tmp_path):
    shutil.copytree(demo.folder / "data", tmp_path / "copy" / "data")
    call = Shell(tmp_path / "copy")
    said = call("sweep", "--search", "learning_rate=1e-4..1e-2", "--trials", "2", "--by", "rank_ic", *TINY, "--name", "look",
                "--csv", str(tmp_path / "trials.csv"), "--json")
    assert said.code == 0, said.err
    found = said.data
    assert [row["state"] for row in found["trials"]] == ["complete", "complete"] and found["test"]["trials"] == 2
    assert found["best"] == max((0, 1), key=lambda number: found["trials"][number]["value"])
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text("utf-8-sig").splitlines()))
    assert [float(row["learning_rate"]) for row in rows] == [row["values"]["learning_rate"] for row in found["trials"]]
    again = call("sweep", "--resume", "look")
    assert again.code == 0 and found["test"]["run"] in again.out and "best of 2 configurations" in again.out
    assert "alone" in call.refuses("sweep", "--resume", "look", "--epochs", "3")


def test_what_cannot_be_searched_is_one_sentence(shell):
    assert "cannot be searched" in shell.refuses("sweep", "--search", "horizon=1..5")
