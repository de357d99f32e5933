"""Bars that are recorded together: all or some of them after a failure or a kill, never one that is recorded and not there."""

import os
import signal
import subprocess
import sys

import pytest

from financial_model.errors import StorageError
from financial_model.market.bars import columns_of
from financial_model.market.batch import MOST, Batch
from financial_model.market.sources import tables
from financial_model.market.sources.files import import_paths
from financial_model.market.store import Store
from tests.market.builders import bars

CODES = ["600000.SH", "600001.SH", "600002.SH"]


def filled(store, codes=CODES):
    batch = Batch(store, "files")
    for number, code in enumerate(codes):
        batch.write(code, columns_of(bars(20, seed=number), code))
    return batch


def leftovers(store):
    return list(store.data_dir.rglob("*.tmp"))


def imports(store):
    with store.connect() as db:
        return db.execute("SELECT path FROM imports").fetchall()


def test_what_waits_is_not_seen_and_then_seen_at_once(tmp_path):
    store = Store(tmp_path)
    batch = filled(store)
    batch.remember(("a.csv", 1, 1, "h", "{}", "{}", "now"))
    assert len(store.symbols()) == 0 and not store.has(CODES[0]) and imports(store) == []
    batch.flush()
    assert list(store.symbols()["symbol"]) == CODES and imports(store) == [("a.csv",)] and not leftovers(store)
    assert all(len(store.read_bars(code)) == 20 for code in CODES)


def test_no_more_than_a_few_wait(tmp_path):
    store = Store(tmp_path)
    filled(store, [f"{600000 + number}.SH" for number in range(MOST + 1)])
    assert len(store.symbols()) == MOST


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_keeps_the_symbols_before_it_and_records_no_file(tmp_path, monkeypatch, step):
    store = Store(tmp_path)
    batch = filled(store)
    batch.remember(("a.csv", 1, 1, "h", "{}", "{}", "now"))
    done, real = [], getattr(os, step)

    def failing(*arguments):
        done.append(arguments)
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, step, failing)
    with pytest.raises(StorageError):
        batch.flush()
    assert list(store.symbols()["symbol"]) == CODES[:1] and len(store.read_bars(CODES[0])) == 20
    assert not store.has(CODES[1]) and imports(store) == [] and not leftovers(store)


KILLED = """
import os, signal, sys
from financial_model.market import batch
from financial_model.market.sources.files import import_paths
from financial_model.market.store import Store
batch.LONGEST = 1e9  # a busy machine compiles for longer than files may wait
real, count = os.replace, [0]
def replace(source, target):
    count[0] += str(target).endswith(".csv")  # what is compiled is renamed too
    if count[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
import_paths(Store(sys.argv[1]), [sys.argv[2]])
"""


def test_an_import_killed_while_it_renames_is_completed_by_the_next(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(6):
        bars(20, seed=number).to_csv(source / f"{600000 + number}.csv", index=False)
    store = Store(tmp_path / "store")
    done = subprocess.run([sys.executable, "-c", KILLED, str(store.data_dir), str(source)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(list(store.data_dir.rglob("*.csv"))) == 3 and len(store.symbols()) == 0 and imports(store) == []
    assert len(import_paths(store, [source]).imported) == 6 and import_paths(store, [source]).unchanged == 6
    whole = Store(tmp_path / "whole")
    import_paths(whole, [source])
    for code in store.symbols()["symbol"]:
        assert store.bar_path(code).read_bytes() == whole.bar_path(code).read_bytes()


@pytest.mark.parametrize("text", [
    "date,open,high,low,close\n2024-01-02,1,2,1,2\n", "date,open,high,low,close", "date,open,close\n20240102,,\n", "2024-01-02,1\n2024-01-03,2\n",
    "a,b\n1,2\n", "date;open\n1,2\n", "日期,收盘,收盘\n2024-01-02,1,1\n", "\n\ndate,close\n2024-01-02,1\n", '"date","close"\n2024-01-02,1\n',
    "Price,Close,Open\n-,-,-\n2024-01-02,1,2\n", "date,open,close\n\n2024-01-02,1,1\n", "date\n2024-01-02\n"])
def test_a_header_over_numbers_alone_is_read_as_any_other(tmp_path, monkeypatch, text):
    def outcome():
        try:
            return tables._head(text.encode(), tmp_path / "a.csv")
        except tables.DataError as error:
            return error.key

    found = outcome()
    monkeypatch.setattr(tables, "_usual_header", lambda line: None)
    assert outcome() == found
