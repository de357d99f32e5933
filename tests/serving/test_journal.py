"""The journal only grows: an edit shows, a kill loses nothing that was acknowledged, writers do not step on each other."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from financial_model.errors import DataError
from financial_model.serving.journal import Journal

FIGURES = {"symbols": ["600000.SH"], "expected": [0.01], "price": [10.0]}


def fields(number=1, **changes):
    return {"kind": "pool", "run": f"run{number}", "checkpoint": "c", "data": "d", "as_of": "2024-01-02", "days": 5, "symbol": "", **changes}


@pytest.fixture
def journal(workspace):
    return Journal(workspace)


@pytest.fixture
def three(journal):
    for number in (1, 2, 3):
        journal.append(fields(number), {**FIGURES, "expected": [number / 100]})
    return journal


def test_entries_come_back_in_order_with_their_figures(three):
    entries = three.entries()
    assert [entry["number"] for entry in entries] == [1, 2, 3] and [entry["run"] for entry in entries] == ["run1", "run2", "run3"]
    assert three.figures(entries[1])["expected"] == [0.02]
    assert three.verify() == {"intact": True, "entries": 3, "head": entries[-1]["hash"], "problem": None}
    assert len({entry["hash"] for entry in entries}) == 3 and entries[2]["previous"] == entries[1]["hash"]


def test_an_empty_journal_is_whole(journal):
    assert journal.entries() == [] and journal.verify()["intact"] and journal.verify()["entries"] == 0


def test_the_same_forecast_is_not_entered_twice(three):
    again = three.append(fields(2), {**FIGURES, "expected": [0.02]})
    assert again["repeated"] and again["number"] == 2 and len(three.entries()) == 3
    other = three.append(fields(2), {**FIGURES, "expected": [0.5]})
    assert not other["repeated"] and other["number"] == 4


def rewrite(journal, change):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(change(lines)))


@pytest.mark.parametrize(("change", "key"), [
    (lambda lines: [lines[0].replace(b"2024-01-02", b"2024-01-03"), *lines[1:]], "journal.edited"),
    (lambda lines: [lines[0], lines[2]], "journal.edited"),
    (lambda lines: [lines[1], lines[0], lines[2]], "journal.edited"),
    (lambda lines: lines[:2], "journal.cut_off"),
    (lambda lines: [], "journal.cut_off"),
    (lambda lines: [lines[0], b"nonsense\n", lines[2]], "journal.unreadable"),
    (lambda lines: [*lines, lines[2]], "journal.edited"),
])
def test_an_edit_is_detected(three, change, key):
    rewrite(three, change)
    found = three.verify()
    assert not found["intact"] and found["problem"]["key"] == key


def test_an_edit_with_its_own_hash_recomputed_breaks_the_next_link(three):
    from financial_model.serving.journal import _line, _sealed
    rewrite(three, lambda lines: [_line(_sealed({**json.loads(lines[0]), "as_of": "2023-01-01"})), *lines[1:]])
    assert three.verify()["problem"] == {"key": "journal.edited", "fields": {"number": 2}}


def test_edited_or_missing_figures_are_detected(three):
    entry = three.entries()[1]
    path = three.folder / "figures" / f"{entry['figures']}.json.gz"
    path.write_bytes(gzip.compress(json.dumps({**FIGURES, "expected": [0.9]}).encode()))
    assert three.verify()["problem"] == {"key": "journal.edited_figures", "fields": {"number": 2}}
    with pytest.raises(DataError):
        three.figures(entry)
    path.unlink()
    assert three.verify()["problem"]["key"] == "journal.no_figures"


def test_an_entry_cut_short_by_a_kill_is_taken_off_and_the_rest_stays(three):
    three.path.write_bytes(three.path.read_bytes() + b'{"as_of":"2024-01')
    assert three.verify()["intact"] and len(three.entries()) == 3
    assert three.append(fields(4), FIGURES)["number"] == 4 and three.verify()["intact"] and len(three.entries()) == 4


def test_a_kill_between_the_entry_and_its_note_is_no_edit(three):
    head = three.head.read_bytes()
    three.append(fields(4), FIGURES)
    three.head.write_bytes(head)
    assert three.verify()["intact"] and three.verify()["entries"] == 4
    three.path.write_bytes(three.path.read_bytes()[:-1])  # the newline alone was not written: the entry is whole
    assert three.append(fields(5), FIGURES)["number"] == 5 and three.verify()["intact"]


WRITER = """
import sys
from pathlib import Path
from financial_model.paths import Workspace
from financial_model.serving.journal import Journal
journal = Journal(Workspace(data_dir=Path(sys.argv[1]), checkpoint_dir=Path(sys.argv[1])))
for number in range(10_000):
    entry = journal.append({"kind": "pool", "run": sys.argv[2], "as_of": str(number), "days": 1, "symbol": "", "checkpoint": "c", "data": "d"},
                           {"symbols": [], "number": number})
    print(entry["number"], flush=True)
"""


def test_writers_in_two_processes_one_of_them_killed(workspace):
    journal = Journal(workspace)
    folder = str(workspace.checkpoint_dir)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, folder, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    try:
        acknowledged = [int(writer.stdout.readline()) for writer in writers for _ in range(5)]
        os.kill(writers[0].pid, signal.SIGKILL)
        acknowledged += [int(writers[1].stdout.readline()) for _ in range(5)]
        time.sleep(0.05)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    found = journal.verify()
    assert found["intact"] and found["entries"] >= max(acknowledged) and len(set(acknowledged)) == len(acknowledged)
    assert journal.append(fields(), FIGURES)["number"] >= found["entries"]


def test_threads_get_numbers_of_their_own(journal):
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda number: journal.append(fields(number), FIGURES)["number"], range(12)))
    assert sorted(numbers) == list(range(1, 13)) and journal.verify()["intact"]
