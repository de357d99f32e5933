"""The database can always be made again from the files."""

import csv
import json

import pytest

from financial_model.errors import DataError
from financial_model.market.barfile import digest
from financial_model.market.store import Store
from financial_model.market.upkeep import bar_files
from tests.market.builders import bars


@pytest.fixture
def store(workspace):
    store = Store(workspace.data_dir)
    store.write_bars("600519", bars(30), source="files", name="贵州茅台", prices="raw")
    store.write_bars("000300.SH", bars(20, level=3000), source="files", name="沪深300")
    store.set_industries({"600519.SH": "consumer"}, source="x.csv", as_of="2026-01-01", labels={"600519.SH": "白酒"})
    store.write_metadata()
    return store


def test_metadata_beside_the_database(store):
    data = json.loads((store.data_dir / "metadata.json").read_text("utf-8"))
    assert data["stocks"] == 1 and data["rows"] == 30 and data["synthetic"] is False and data["indices"] == ["000300.SH"]
    with (store.data_dir / "symbols.csv").open(encoding="utf-8", newline="") as stream:
        row = next(row for row in csv.DictReader(stream) if row["symbol"] == "600519.SH")
    content = dict(bar_files(store.data_dir))["600519.SH"].read_bytes()
    assert row == {"symbol": "600519.SH", "name": "贵州茅台", "industry": "consumer", "label": "白酒", "source": "files", "prices": "raw",
                   "rows": "30", "first": row["first"], "last": row["last"], "bytes": str(len(content)), "xxh64": digest(content)}
    assert row["first"] < row["last"]


def test_a_lost_database_comes_back_with_names_and_industries(store):
    before = store.symbols("all").drop(columns="updated")
    store.close()
    store.database.unlink()
    for ending in ("-wal", "-shm"):
        store.database.with_name(store.database.name + ending).unlink(missing_ok=True)
    assert store.rebuild() == {"symbols": 2, "read": 2, "damaged": [], "gone": []}
    assert store.symbols("all").drop(columns="updated").equals(before)
    assert store.industries() == {"600519.SH": "consumer"}


def test_a_damaged_database_is_put_aside_not_deleted(store):
    store.close()
    store.database.write_bytes(b"this is no database" * 400)
    with pytest.raises(DataError) as caught:
        store.summary()
    assert caught.value.key == "store.damaged"
    assert store.rebuild()["symbols"] == 2
    assert store.names()["600519.SH"] == "贵州茅台"
    assert list(store.data_dir.glob("market.sqlite.damaged-*"))


def test_a_demo_store_stays_synthetic_when_its_database_is_lost(workspace):
    store = Store(workspace.data_dir)
    store.write_bars("600519", bars(30), source="demo")
    store.write_metadata()
    store.close()
    store.database.write_bytes(b"x" * 8192)
    store.rebuild()
    assert store.synthetic
    with pytest.raises(DataError):
        store.write_bars("000001", bars(3), source="files")


def test_only_what_changed_is_read_again(store):
    assert store.rebuild(full=False)["read"] == 0
    path = store.bar_path("600519")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")  # a person removed the last row
    assert store.rebuild(full=False)["read"] == 1
    assert store.symbols()["rows"][0] == 29


def test_files_that_are_gone_damaged_or_foreign(store):
    store.bar_path("000300.SH").unlink()
    store.bar_path("600519").write_text("date,open\n2020-01-02,x\n")
    (store.data_dir / "training_data" / "my notes.csv").write_text("hello")
    found = store.rebuild()
    assert found["damaged"] == ["600519.SH"] and found["gone"] == ["000300.SH"] and found["symbols"] == 0
    assert list(store.symbols("all", status="failed")["symbol"]) == ["600519.SH"]
    assert (store.data_dir / "training_data" / "my notes.csv").read_text() == "hello"
