"""What a command says: tables that stand straight in Chinese, JSON that any program reads, progress that does not flood a log."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from financial_model.cli.output import Output, ProgressBar, figure, percent, table, to_json


class Terminal(io.StringIO):
    def isatty(self):
        return True


def output(**options):
    return Output(as_json=False, language="en", **options)


def test_columns_stand_straight_also_in_chinese():
    lines = table(["名称", "price"], [["茅台", "1,561.00"], ["平安银行", "9.10"], ["A", "–"]])
    assert lines == ["名称         price", "--------  --------", "茅台      1,561.00", "平安银行      9.10", "A                –"]


def test_an_empty_table_has_its_head():
    assert table(["a", "b"], []) == ["a  b", "-  -"]


@pytest.mark.parametrize("value, shown", [(0.123456, "0.1235"), (1234.5, "1,234.5000"), (7, "7"), (None, "–"), (float("nan"), "–"), (True, "–")])
def test_figures_for_readers(value, shown):
    assert figure(value) == shown


def test_percent_is_of_one():
    assert percent(0.0123) == "1.23 %" and percent(0.5, 0, signed=True) == "+50 %"
    assert percent(None) == "–" and percent(-0.01, signed=True) == "-1.00 %"


def test_everything_becomes_plain_json():
    data = {"table": pd.DataFrame({"a": [1.5, np.nan], "day": pd.to_datetime(["2024-01-02", "2024-01-03"])}), "array": np.arange(3),
            "number": np.float32(0.5), "bad": float("inf"), "day": np.datetime64("2024-01-02").astype(object), "set": ("x",)}
    text = json.dumps(to_json(data), allow_nan=False)
    assert json.loads(text) == {"table": [{"a": 1.5, "day": "2024-01-02"}, {"a": None, "day": "2024-01-03"}], "array": [0, 1, 2], "number": 0.5,
                                "bad": None, "day": "2024-01-02", "set": ["x"]}


def test_off_a_terminal_each_stage_is_one_line(capsys):
    with ProgressBar(output()) as progress:
        for done in range(1000):
            progress("train", done, 1000)
        progress("evaluate", 0, 10)
    assert capsys.readouterr().err.splitlines() == ["Training ...", "Evaluating on the test dates ..."]


def test_off_a_terminal_a_long_stage_says_now_and_then_how_far_it_is(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("financial_model.cli.output.time.monotonic", lambda: clock[0])
    with ProgressBar(output()) as progress:
        for done in range(1000, 1090):  # a resumed one
            progress("download", done, 5000)
            clock[0] += 0.5
    assert capsys.readouterr().err.splitlines() == ["Downloading ...", "Downloading: 1,060 of 5,000, 2 a second, about 32.8 minutes left"]


def test_on_a_terminal_a_bar_moves_and_leaves_nothing_behind():
    stream = Terminal()
    with ProgressBar(output(), stream) as progress:
        progress("train", 0, 10)
        progress("train", 10, 10)
    assert "Training" in stream.getvalue() and stream.getvalue().endswith("\r")


def test_a_problem_is_one_line_and_in_json_an_object(capsys):
    Output(as_json=True, language="en").problem("first\n  second", error_id="abc")
    said = capsys.readouterr()
    assert said.err == "Error: first second\n" and json.loads(said.out) == {"error": "first\n  second", "id": "abc"}
