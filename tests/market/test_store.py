"""The store: whole at any moment, one file a symbol, synthetic and real apart."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import DataError, NotFoundError, StorageError
from financial_model.market.store import Store, file_stem
from tests.market.builders import bars


@pytest.fixture
def store(workspace):
    return Store(workspace.data_dir)


def test_bars_come_back_as_they_went_in(store):
    frame = bars(50).assign(factor=np.linspace(1, 1.3, 50), pb=np.where(np.arange(50) % 7, 1.5, np.nan))
    assert store.write_bars("sh600519", frame, source="files", name="贵州茅台")
    again = store.read_bars("600519")
    pd.testing.assert_frame_equal(again[frame.columns], frame)
    assert store.has("600519.SH") and not store.has("AAPL")


def test_the_file_is_a_plain_table_people_can_read(store):
    store.write_bars("600519", bars(3), source="files")
    text = (store.data_dir / "training_data" / "600519.SH.csv").read_text("utf-8")
    assert text.splitlines()[0] == "date,open,high,low,close,volume,amount,factor"
    assert text.splitlines()[1].startswith("2020-01-02,") and '"' not in text


def test_what_is_known_about_a_symbol(store):
    store.write_bars("600519", bars(30), source="files", name="贵州茅台", prices="adjusted")
    store.write_bars("000300.SH", bars(20), source="files")
    row = store.symbols().iloc[0]
    assert (row["symbol"], row["name"], row["board"], row["source"], row["rows"], row["status"]) == (
        "600519.SH",
        "贵州茅台",
        "main",
        "files",
        30,
        "ok",
    )
    assert (row["first"], row["prices"], row["interval"]) == ("2020-01-02", "adjusted", 86_400)
    assert list(store.symbols("index")["symbol"]) == ["000300.SH"] and len(store.symbols("all")) == 2
    assert (store.data_dir / "index_data" / "000300.SH.csv").is_file()


def test_the_hash_follows_the_content(store):
    store.write_bars("600519", bars(30), source="files")
    first = store.symbols()["hash"][0]
    assert not store.write_bars("600519", bars(30), source="files")  # the same again is no write
    assert store.symbols()["hash"][0] == first
    assert store.write_bars("600519", bars(31), source="files")
    assert store.symbols()["hash"][0] != first


def test_names_industries_and_facts(store):
    store.write_bars("600519", bars(3), source="files")
    store.set_names({"600519.SH": "贵州茅台", "AAPL": "nobody"})
    store.set_industries({"600519.SH": "consumer", "000001.SZ": "finance"}, source="x.csv", as_of="2026-01-01", labels={"600519.SH": "白酒"})
    store.add_facts("shares", "600519", [("2021-01-01", 2.0, 1.0), ("2020-01-01", 1.0, 0.5)], source="tdx")
    assert store.names() == {"600519.SH": "贵州茅台"}
    assert store.industries() == {"600519.SH": "consumer"}  # stored symbols only
    assert store.industry_labels()["600519.SH"] == "白酒"
    assert store.facts("shares", "600519")["total_shares"].tolist() == [1.0, 2.0]
    store.write_bars("600519", bars(4), source="files")
    assert store.names() == {"600519.SH": "贵州茅台"}  # a new download without a name keeps the old one


def test_failures_are_remembered_but_bars_win(store):
    store.record_outcome("600519", "failed", "download.no_data", {"x": 1}, source="tdx")
    assert len(store.symbols()) == 0
    row = store.symbols("all", status="failed").iloc[0]
    assert row["symbol"] == "600519.SH" and '"key": "download.no_data"' in row["reason"] and row["updated"]
    store.write_bars("600519", bars(3), source="tdx")
    assert len(store.symbols("all", status="failed")) == 0
    store.record_outcome("600519", "failed", "download.no_data", source="tdx")
    assert store.symbols().iloc[0]["status"] == "ok"


def test_summary_of_an_empty_and_of_a_filled_store(store):
    assert store.summary()["stocks"] == 0 and store.summary()["first"] == "" and not store.summary()["synthetic"]
    store.write_bars("600519", bars(30), source="files")
    store.write_bars("AAPL", bars(40), source="files")
    found = store.summary()
    assert (found["stocks"], found["rows"], found["first"]) == (2, 70, "2020-01-02") and found["bytes"] > 2000 and found["sources"] == {"files": 2}


def test_an_unknown_symbol_is_named(store):
    for ask in (store.read_bars, store.bar_path):
        with pytest.raises(NotFoundError) as caught:
            ask("600519")
        assert caught.value.key == "store.unknown_symbol"
    with pytest.raises(DataError):
        store.read_bars("../../etc/passwd")


def test_bad_bars_leave_the_old_ones(store):
    store.write_bars("600519", bars(30), source="files")
    with pytest.raises(DataError):
        store.write_bars("600519", bars(30).assign(low=-1.0), source="files")
    assert len(store.read_bars("600519")) == 30


def test_a_full_disk_is_one_sentence_and_leaves_the_old_bars(store, monkeypatch):
    store.write_bars("600519", bars(30), source="files")
    before = store.bar_path("600519").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        store.write_bars("600519", bars(31), source="files")
    monkeypatch.undo()
    assert caught.value.key == "paths.disk_full"
    assert store.bar_path("600519").read_bytes() == before and store.symbols()["rows"][0] == 30
    assert [path.name for path in store.bar_path("600519").parent.iterdir()] == ["600519.SH.csv"]  # nothing half-written is left


def test_synthetic_and_real_never_share_a_store(store, tmp_path):
    store.write_bars("600519", bars(3), source="demo")
    assert store.synthetic and store.summary()["synthetic"]
    with pytest.raises(DataError) as caught:
        store.write_bars("000001", bars(3), source="files")
    assert caught.value.key == "store.synthetic_here"
    store.clear()
    assert not store.synthetic and store.summary()["stocks"] == 0
    store.write_bars("000001", bars(3), source="files")
    with pytest.raises(DataError) as caught:
        store.write_bars("600519", bars(3), source="demo")
    assert caught.value.key == "store.real_here" and not store.has("600519")


def test_removing_a_symbol_removes_all_of_it(store):
    store.write_bars("600519", bars(3), source="files")
    store.set_industries({"600519.SH": "consumer"}, source="x", as_of="")
    store.remove(["600519"])
    assert not store.has("600519") and len(store.symbols("all", status="all")) == 0 and store.industries() == {}


@pytest.mark.parametrize(("symbol", "stem"), [("CON", "CON.US"), ("^GSPC", "GSPC"), ("600519.SH", "600519.SH"), ("BRK-B", "BRK-B")])
def test_file_names_every_system_accepts(store, symbol, stem):
    assert file_stem(symbol) == stem
    store.write_bars(symbol, bars(3), source="files")
    assert store.read_bars(symbol) is not None
    assert store.rebuild()["symbols"] == 1 and list(store.symbols("all")["symbol"]) == [symbol]


def test_many_threads_write_and_read(store):
    problems: list[BaseException] = []

    def work(number):
        try:
            for turn in range(8):
                store.write_bars(f"{600000 + number}", bars(20 + turn, seed=number), source="files")
                assert len(store.symbols()) >= 1 and store.summary()["rows"] >= 20
        except BaseException as error:
            problems.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and store.summary()["rows"] == 4 * 27


def test_readers_are_not_blocked_by_a_writer_in_mid_transaction(store):
    store.write_bars("600519", bars(30), source="files")
    with store.connect() as db:
        db.execute("UPDATE symbols SET rows=999")
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(store.summary()["rows"]))
        reader.start()
        reader.join(10)
        assert seen == [30]  # the last committed state, at once
        db.rollback()


WRITER = """
import sys
from financial_model.market.store import Store
from tests.market.builders import bars
store = Store(sys.argv[1])
for turn in range(100000):
    for number in range(3):
        store.write_bars(f"{600000 + number}", bars(200 + turn % 2, seed=number), source="files")
        print(turn, flush=True)
"""


def test_a_kill_at_any_moment_loses_at_most_the_symbol_in_flight(store):
    """kill -9 in the middle of writing, three times: every file is whole, the database answers, a rebuild finds nothing damaged."""
    for delay in (0.0, 0.013, 0.031):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(store.data_dir)], stdout=subprocess.PIPE)
        for _ in range(9):
            child.stdout.readline()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
        found = store.symbols()
        assert len(found) == 3
        for row in found.itertuples():
            assert len(store.read_bars(row.symbol)) in (200, 201)
        assert store.rebuild()["damaged"] == []
        assert all(len(store.read_bars(row.symbol)) == row.rows for row in store.symbols().itertuples())


def test_a_database_of_another_version_is_left_alone(store):
    store.write_bars("600519", bars(3), source="files")
    with store.connect() as db:
        db.execute("PRAGMA user_version=99")
    store.close()
    with pytest.raises(DataError) as caught:
        Store(store.data_dir).summary()
    assert caught.value.key == "store.version"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Store(tmp_path / "file" / "data").summary()
