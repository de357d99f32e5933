"""A ZIP of tables is read like the folder it was made from, and nothing in it is taken on trust."""

import io
import random
import stat
import zipfile

import pandas as pd
import pytest

from financial_model.errors import DataError, Stopped
from financial_model.market.sources import archives
from financial_model.market.sources.files import import_paths, plan_import
from financial_model.market.store import Store
from tests.market.builders import bars


@pytest.fixture
def store(workspace):
    return Store(workspace.data_dir)


def content(seed: int = 0, rows: int = 30) -> bytes:
    return bars(rows, seed=seed).to_csv(index=False).encode()


def sheet(seed: int) -> bytes:
    stream = io.BytesIO()
    bars(10, seed=seed).to_excel(stream, index=False)
    return stream.getvalue()


def columns(seed: int) -> bytes:
    stream = io.BytesIO()
    bars(10, seed=seed).to_parquet(stream, index=False)
    return stream.getvalue()


def make_zip(folder, members: dict[str, bytes], name: str = "bars.zip"):
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def keys(report) -> list[str]:
    return sorted(entry.key for entry in report.refused)


def test_a_zip_is_read_like_a_folder(store, tmp_path):
    path = make_zip(tmp_path, {"a/600519.csv": content(1), "b/deep/000001.SZ.xlsx": sheet(2), "AAPL.parquet": columns(3), "readme.md": b"hello",
                               "__MACOSX/._600519.csv": b"\0", ".hidden.csv": b"x"})
    report = import_paths(store, [path])
    assert sorted(report.imported) == ["000001.SZ", "600519.SH", "AAPL"] and report.refused == [] and report.rows == 50
    pd.testing.assert_frame_equal(store.read_bars("600519")[list(bars().columns)], bars(30, seed=1))


def test_a_zip_in_a_folder_is_found_and_is_not_read_again(store, tmp_path):
    make_zip(tmp_path, {"600519.csv": content(1)})
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    again = import_paths(store, [tmp_path])
    assert (again.imported, again.unchanged) == ([], 1)
    make_zip(tmp_path, {"600519.csv": content(1), "600036.csv": content(2)})
    assert sorted(import_paths(store, [tmp_path]).imported) == ["600036.SH", "600519.SH"]


def test_a_bad_member_is_named_with_its_place_and_the_others_are_taken(store, tmp_path):
    path = make_zip(tmp_path, {"x/600519.csv": content(1), "x/600036.csv": content(2).replace(b"2020-01-06", b"nonsense")})
    report = import_paths(store, [path])
    assert report.imported == ["600519.SH"]
    assert report.refused[0].file.endswith("bars.zip/x/600036.csv") and report.refused[0].line == 4


def test_the_mapping_of_each_member_is_shown_before_the_import(store, tmp_path):
    path = make_zip(tmp_path, {"600519.csv": content(1), "600036.csv": content(2), "000001.csv": content(3)})
    plan = plan_import([path], limit=2)
    assert [entry.count for entry in plan.files] == [1, 1] and plan.files[0].mapping["close"] == "close"
    assert plan.files[0].file.endswith("000001.csv")


def test_names_in_gbk_are_read_as_they_were_written(store, tmp_path):
    path = make_zip(tmp_path, {"XXXXXXXX_600519.csv": b"nothing"})
    path.write_bytes(path.read_bytes().replace(b"XXXXXXXX", "贵州茅台".encode("gbk")))
    assert "贵州茅台_600519.csv" in import_paths(store, [path]).refused[0].file


# ---------------------------------------------------------------- what is not taken on trust
@pytest.mark.parametrize("name", ["../../600519.csv", "/etc/600519.csv", "a/../../600519.csv", "C:/600519.csv", "..\\600519.csv"])
def test_paths_that_lead_outside_are_refused(store, tmp_path, name):
    report = import_paths(store, [make_zip(tmp_path, {name: content(1), "600036.csv": content(2)})])
    assert report.imported == ["600036.SH"] and keys(report) == ["import.zip_path"]
    assert not (tmp_path.parent / "600519.csv").exists()


def test_a_link_is_refused(store, tmp_path):
    path = tmp_path / "bars.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("600519.csv")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    assert keys(import_paths(store, [path])) == ["import.zip_path"]


def test_a_zip_in_a_zip_is_refused(store, tmp_path):
    inner = make_zip(tmp_path, {"600519.csv": content(1)}, "inner.zip")
    report = import_paths(store, [make_zip(tmp_path, {"inner.zip": inner.read_bytes(), "600036.csv": content(2)}, "outer.zip")])
    assert report.imported == ["600036.SH"] and keys(report) == ["import.zip_nested"]


def test_a_bomb_is_stopped_by_what_it_unpacks_not_by_what_it_says(store, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED", 5_000)
    report = import_paths(store, [make_zip(tmp_path, {"000001.csv": content(1), "600519.csv": b"0" * 100_000, "600036.csv": content(2, 5)})])
    assert sorted(report.imported) == ["000001.SZ", "600036.SH"] and keys(report) == ["import.zip_bomb"]


def test_a_member_that_grows_like_no_text_does_is_stopped_early(store, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_SMALL", 10_000)
    assert keys(import_paths(store, [make_zip(tmp_path, {"600519.csv": b"0" * 3_000_000})])) == ["import.zip_bomb"]


def test_too_many_members_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBERS", 2)
    assert keys(import_paths(store, [make_zip(tmp_path, {f"60000{n}.csv": content(n) for n in range(3)})])) == ["import.zip_members"]


def test_no_zip_at_all_and_one_without_tables(store, tmp_path):
    broken, empty = tmp_path / "broken.zip", make_zip(tmp_path, {"readme.md": b"x"})
    broken.write_bytes(b"PK\x03\x04 not really")
    assert keys(import_paths(store, [broken, empty])) == ["import.bad_zip", "import.empty_zip"]
    with pytest.raises(DataError) as caught:
        import_paths(Store(tmp_path / "other"), [broken]).check()
    assert "broken.zip" in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_zips_give_bars_or_a_sentence(store, tmp_path, seed):
    """Whatever happens to the bytes: what is stored is the original bars, since every member carries a checksum."""
    whole = make_zip(tmp_path, {f"60000{n}.csv": content(n) for n in range(4)}).read_bytes()
    chance, outcomes = random.Random(seed), set()
    for turn in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            if chance.random() < 0.2:
                data = data[:place] or data
            else:
                data[place] = chance.randrange(256)
        path = tmp_path / f"{seed}_{turn}.zip"
        path.write_bytes(bytes(data))
        report = import_paths(store, [path])
        outcomes.update(keys(report) or ["read"])
        for entry in report.refused:
            assert entry.message("en") and entry.message("zh")
        for symbol in report.imported:
            assert any(store.read_bars(symbol)["close"].equals(bars(30, seed=n)["close"]) for n in range(4)), (turn, symbol)
    assert "import.bad_zip" in outcomes


def test_a_stop_is_heard_between_members(store, tmp_path):
    import threading

    path = make_zip(tmp_path, {f"60000{n}.csv": content(n) for n in range(6)})
    stop, seen = threading.Event(), []

    def progress(stage, done, total):
        seen.append(done / total)
        if len(seen) == 2:
            stop.set()

    with pytest.raises(Stopped):
        import_paths(store, [path], progress=progress, stop=stop)
    assert len(store.symbols()) == 2 and seen == pytest.approx([1 / 6, 2 / 6])
