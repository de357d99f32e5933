"""Figures are taken in turns, and the table says what they mean; no test asserts a speed."""

import dataclasses
import importlib
import json
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as command
from benchmarks import gpu, table
from benchmarks.table import Row, median_ratio, number, render, side_by_side


def test_turns_alternate_and_the_first_is_not_counted():
    calls = []
    seconds = side_by_side(lambda: calls.append("a"), lambda: calls.append("b"), rounds=4)
    assert calls == ["a", "b"] * 5 and [len(taken) for taken in seconds] == [4, 4]


def test_a_slow_comparison_ends_after_three_rounds(monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(table.time, "perf_counter", lambda: next(clock))
    assert len(side_by_side(lambda: None, rounds=50, budget=1.0)[0]) == 3


def test_the_ratio_is_taken_within_each_turn():
    assert median_ratio([1, 10, 1], [2, 20, 4]) == 2, "the second turn was slow for both"


def test_rows_become_a_table_and_json(tmp_path, monkeypatch, capsys):
    row = Row(benchmark="windows", case="60 x 6", ours=1_500_000, unit="windows/s", peer=50_000, against="per item", ratio=30.0, target=">= 25",
              met=True, method="in turns")
    facts = {"processor": "P", "cores": 2, "memory_total": 2**34, "device": "cpu", "python": "3", "torch": "2", "numba": "1"}
    text = render(facts, [row, row], quick=True)
    assert "| windows | 60 x 6 | 1,500,000 windows/s | 50,000 (per item) | 30 times faster | >= 25 met |" in text
    assert text.count("in turns") == 1 and "16 GB" in text and "quick" in text
    monkeypatch.setattr(command, "machine", lambda: facts)
    monkeypatch.setattr(command.importlib, "import_module", lambda name: type("Module", (), {"run": staticmethod(lambda quick: [row])}))
    assert command.main(["--only", "panel_open", "--json", str(tmp_path / "out.json")]) == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["rows"][0]["ratio"] == 30.0 and written["machine"]["cores"] == 2 and "30 times faster" in capsys.readouterr().out


@pytest.mark.parametrize("name", command.BENCHMARKS)
def test_every_benchmark_has_its_file_and_says_what_it_measures(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.run) and module.__doc__


@pytest.mark.skipif(gpu.machine()["device"] != "cpu", reason="there is a GPU")
def test_without_a_gpu_its_command_runs_nothing_and_says_so(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "report")]) == 2
    assert "No GPU" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_report_of_a_gpu_names_what_failed_and_is_good_only_if_all_is(tmp_path):
    case = ElementTree.fromstring('<testcase classname="tests.gpu" name="a"><failure message="not equal&#10;more">long</failure></testcase>')
    failed, passed = gpu._outcome(case), gpu._outcome(ElementTree.fromstring('<testcase classname="tests.gpu" name="b"/>'))
    facts = {"processor": "P", "cores": 2, "memory_total": 2**34, "device": "cuda", "device_name": "H", "python": "3", "torch": "2", "numba": "1"}
    met, missed = (dataclasses.asdict(Row(benchmark="kernels", case="gather", ours=6.0, unit="us", target="<= 7 us", met=ok)) for ok in (True, False))
    text, good = gpu.report(facts, [failed, passed], [met], [], quick=False)
    assert not good and "1 tests passed, 1 tests failed" in text and "failed: tests.gpu.a: not equal" in text and "| <= 7 us met |" in text
    assert gpu.report(facts, [passed], [met], [], quick=False)[1]
    assert not any(gpu.report(facts, *parts, quick=False)[1] for parts in (([passed], [met], ["step"]), ([passed], [missed], []), ([], [met], [])))


def test_numbers_are_short():
    assert [number(value) for value in (1234567.8, 100.4, 25.04, 0.8812, 0.001234)] == ["1,234,568", "100", "25", "0.881", "0.00123"]


def test_a_panel_is_opened_for_real():
    """One benchmark from end to end, for its figures and not for its speed."""
    rows = importlib.import_module("benchmarks.panel_open").run(quick=True)
    assert [row.case for row in rows] == ["10,000 rows, 20 stocks", "200,000 rows, 200 stocks"]
    assert all(row.ours > 0 and row.peer > 0 and row.ratio > 0 for row in rows)
