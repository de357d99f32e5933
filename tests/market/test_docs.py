"""The source that docs/data-sources.md shows is one: it is taken from the page and downloaded from."""

import re
from pathlib import Path
from types import ModuleType

import pytest

import financial_model
from financial_model.market.download import download
from financial_model.market.sources import base
from financial_model.market.sources.base import Query
from financial_model.market.store import Store

PAGE = Path(financial_model.__file__).parents[1] / "docs" / "data-sources.md"


@pytest.fixture
def example(monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    module = ModuleType("example_source")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(__import__("sys").modules, "example_source", module)
    monkeypatch.setitem(base._REGISTER, "example", "example_source:ExampleSource")
    return module


def test_the_example_is_a_source(example, workspace):
    store = Store(workspace.data_dir)
    report = download(store, "example", Query(count=0))
    assert sorted(report.stored) == sorted(example.PRICES) and report.failed == []
    assert store.read_bars("600519")["close"].tolist() == example.PRICES["600519.SH"]
    assert store.names()["000001.SZ"] == "name of 000001.SZ" and store.industries()["600519.SH"] == "consumer"


def test_its_three_outcomes_are_what_the_page_says(example, workspace):
    store = Store(workspace.data_dir)
    report = download(store, "example", Query(symbols=("600519", "000001", "600036"), options={"broken": "000001.SZ"}))
    assert report.stored == ["600519.SH"] and report.empty == ["600036.SH"] and [entry.symbol for entry in report.failed] == ["000001.SZ"]
    assert download(store, "example", Query(symbols=("000001",)), retry=True).stored == ["000001.SZ"]


def test_every_source_of_the_register_has_a_column(monkeypatch):
    head = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| |"))
    assert {cell.strip() for cell in head.strip("|").split("|")} - {""} == {*base.sources(), "files"}
