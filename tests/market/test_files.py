"""Files people have: read as they are meant, or refused with file, line and reason, and never in the way of the others."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import ConfigError, DataError, NotFoundError, Stopped, StorageError
from financial_model.market.sources.files import import_paths, plan_import
from financial_model.market.store import Store
from tests.market.builders import bars, csv

BASE = ["date", "open", "high", "low", "close", "volume"]


@pytest.fixture
def store(workspace):
    return Store(workspace.data_dir)


def the_refusal(report):
    assert report.imported == [] and len(report.refused) == 1, report
    return report.refused[0]


# ---------------------------------------------------------------- one length of bars
def test_bars_of_another_length_than_the_others_are_refused_until_they_are_alone(store, tmp_path):
    minutes = bars(30).assign(date=pd.date_range("2024-01-02 09:45", periods=30, freq="15min").as_unit("s"))
    csv(tmp_path / "in" / "600000.csv", bars(30))
    other = csv(tmp_path / "in" / "600519.csv", minutes)
    csv(tmp_path / "in" / "601318.csv", bars(30, seed=2))
    csv(tmp_path / "in" / "000300.SH_15min.csv", minutes)  # an index is in no universe
    for again, key in ((False, "import.length_of_most"), (True, "import.other_length")):
        report = import_paths(store, [tmp_path / "in"])
        assert [(entry.key, entry.symbol) for entry in report.refused] == [(key, "600519.SH")]
        assert "15-minute" in report.refused[0].message() and "1440" in report.refused[0].message()
        assert (report.imported == []) == again and list(store.symbols()["symbol"]) == ["600000.SH", "601318.SH"]
    assert import_paths(Store(tmp_path / "minutes"), [other]).imported == ["600519.SH"]
    store.remove(["600000.SH", "601318.SH"])
    assert import_paths(store, [other]).imported == ["600519.SH"]  # looked at again, not remembered as refused
    csv(other, bars(40))
    assert import_paths(store, [other]).imported == ["600519.SH"]  # nobody stands beside it


@pytest.mark.parametrize("packed", ["files", "zip", "symbol column", "parquet", "one table"])
def test_most_stocks_of_an_import_decide_its_length_and_the_plan_says_the_same(store, tmp_path, packed):
    inside = tmp_path / "in"
    quarter, five = (bars(30).assign(date=pd.date_range("2024-01-02 09:45", periods=30, freq=step).as_unit("s")) for step in ("15min", "5min"))
    rare = ["600000.SH", "600004.SH"]
    for code in rare:  # what comes first by name
        csv(inside / f"{code}.csv", five[::-1])
    usual = ["600036.SH", "600519.SH", "601318.SH"]
    if packed in ("files", "zip"):
        for code in usual:
            csv(inside / f"{code}.csv", quarter)
    elif packed == "one table":
        table = pd.concat([(quarter if code in usual else five[::-1]).assign(symbol=code) for code in (*rare, *usual)])
        shutil.rmtree(inside)
        csv(inside / "all.csv", table)
    else:
        table = pd.concat([quarter.assign(symbol=code) for code in usual])
        csv(inside / "z.csv", table) if packed == "symbol column" else table.to_parquet(inside / "z.parquet")
    if packed == "zip":
        inside = Path(shutil.make_archive(str(tmp_path / "all"), "zip", inside))
    plan, report = plan_import([inside], store=store), import_paths(store, [inside])
    assert sorted(report.imported) == usual and [(entry.key, entry.symbol) for entry in report.refused] == [
        ("import.length_of_most", code) for code in rare]
    assert [problem for entry in plan.files for problem in entry.problems] == report.refused
    said = report.refused[0]
    assert "5-minute" in said.message() and "15-minute" in said.message() and "--data-dir" in said.message("zh")
    few = Store(tmp_path / "few")
    import_paths(few, [csv(tmp_path / "600004.csv", five)])
    plan, report = plan_import([inside], store=few), import_paths(few, [inside])  # what is stored outweighs what comes
    assert sorted(report.imported) == rare and {entry.key for entry in report.refused} == {"import.other_length"}
    assert [(problem.key, problem.symbol) for entry in plan.files for problem in entry.problems] == [
        (entry.key, entry.symbol) for entry in report.refused]


def test_a_stock_that_comes_twice_is_no_refusal_of_a_length_in_the_plan_either(store, tmp_path):
    csv(tmp_path / "in" / "600000.csv", bars(30))
    csv(tmp_path / "in" / "600000_15min.csv", bars(30).assign(date=pd.date_range("2024-01-02 09:45", periods=30, freq="15min").as_unit("s")))
    csv(tmp_path / "in" / "600519.csv", bars(30))
    plan, report = plan_import([tmp_path / "in"], store=store), import_paths(store, [tmp_path / "in"])
    assert report.refused == [] and not any(entry.problems for entry in plan.files) and [note.key for note in report.notes] == ["import.note_twice"]


def test_the_length_of_most_is_told_by_a_few_first_rows(store, tmp_path):
    long = bars(600).assign(date=pd.date_range("2024-01-02 09:45", periods=600, freq="15min").as_unit("s"))
    for number in range(40):
        csv(tmp_path / "in" / f"{600000 + number}.csv", long if number % 8 else bars(600), encoding="utf-16" if number % 2 else "utf-8")
    report = import_paths(store, [tmp_path / "in"])
    assert len(report.imported) == 35 and {entry.symbol for entry in report.refused} == {f"{600000 + number}.SH" for number in range(0, 40, 8)}


# ---------------------------------------------------------------- what is read
def test_a_folder_of_one_file_per_symbol(store, tmp_path):
    for number, name in enumerate(("600519", "sh600000", "000001.SZ", "AAPL")):
        csv(tmp_path / "in" / f"{name}.csv", bars(30, seed=number))
    report = import_paths(store, [tmp_path / "in"])
    assert sorted(report.imported) == ["000001.SZ", "600000.SH", "600519.SH", "AAPL"] and report.rows == 120 and not report.refused
    pd.testing.assert_frame_equal(store.read_bars("600519")[list(bars().columns)], bars(30))


def test_one_table_with_a_symbol_column(store, tmp_path):
    table = pd.concat([bars(20, seed=n).assign(symbol=code, pb=1.5, turnover=0.4) for n, code in enumerate(("600519.SH", "000001"))])
    for name in ("all.csv", "all.parquet"):
        path = tmp_path / name
        table.to_parquet(path, index=False) if name.endswith("parquet") else table.to_csv(path, index=False)
        report = import_paths(store, [path])
        assert sorted(report.imported) == ["000001.SZ", "600519.SH"]
        assert list(store.read_bars("600519").columns[-2:]) == ["pb", "turnover"]


def test_codes_that_lost_their_zeros(store, tmp_path):
    pd.concat([bars(5).assign(code=1), bars(5).assign(code=600519)]).to_parquet(tmp_path / "t.parquet")
    assert sorted(import_paths(store, [tmp_path / "t.parquet"]).imported) == ["000001.SZ", "600519.SH"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_chinese_headers_in_every_encoding(store, tmp_path, encoding):
    names = {"date": "日期", "open": "开盘", "high": "最高", "low": "最低", "close": "收盘", "volume": "成交量(股)", "amount": "成交额"}
    csv(tmp_path / "600519.csv", bars(30).rename(columns=names), encoding=encoding)
    assert import_paths(store, [tmp_path / "600519.csv"]).imported == ["600519.SH"]
    pd.testing.assert_frame_equal(store.read_bars("600519")[list(bars().columns)], bars(30))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.assign(date=frame["date"].dt.strftime("%Y/%m/%d")),
        lambda frame: frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d 00:00:00")),
        lambda frame: frame.assign(date=frame["date"].dt.strftime("%Y%m%d")),
        lambda frame: pd.concat([frame, frame.iloc[[3]]]),
        lambda frame: frame[["date", "close", "open", "volume", "low", "high", "amount"]],
    ],
)
def test_order_formats_and_repetitions_do_not_matter(store, tmp_path, change):
    csv(tmp_path / "600519.csv", change(bars(30)))
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    pd.testing.assert_frame_equal(store.read_bars("600519")[list(bars().columns)], bars(30))


def test_windows_lines_semicolons_blank_lines_and_a_title(store, tmp_path):
    text = bars(30).to_csv(index=False, sep=";").replace("\n", "\r\n").replace("\r\n2020-01-03", "\r\n\r\n2020-01-03")
    (tmp_path / "600519.csv").write_text("600519 贵州茅台 日线 不复权\r\n" + text + "#数据来源:通达信\r\n", encoding="gbk")
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    assert len(store.read_bars("600519")) == 30


@pytest.mark.parametrize(
    "lines",
    [
        [
            "Price,Close,High,Low,Open,Volume",
            "Ticker,AAPL,AAPL,AAPL,AAPL,AAPL",
            "Date,,,,,",
            "2020-01-02,10.0,10.2,9.9,10.1,1000",
            "2020-01-03,10.1,10.2,9.9,10.0,900",
        ],
        [
            "Ticker,Date,Open,High,Low,Close,Volume",
            ",,AAPL,AAPL,AAPL,AAPL,AAPL",
            "AAPL,2020-01-02,10.1,10.2,9.9,10.0,1000",
            "AAPL,2020-01-03,10.0,10.2,9.9,10.1,900",
        ],
    ],
)
def test_second_header_rows_as_yfinance_writes_them(store, tmp_path, lines):
    (tmp_path / "download.csv").write_text("\n".join(lines) + "\n")
    assert import_paths(store, [tmp_path / "download.csv"]).imported == ["AAPL"]
    assert store.read_bars("AAPL")["close"].tolist() == [10.0, 10.1]


def test_several_tickers_side_by_side_are_refused(store, tmp_path):
    (tmp_path / "two.csv").write_text("Price,Close,Close,Open,Open\nTicker,AAPL,MSFT,AAPL,MSFT\nDate,,,,\n2020-01-02,1,2,1,2\n")
    assert the_refusal(import_paths(store, [tmp_path])).key == "import.several_tickers"


def test_the_nine_column_sheet(store, tmp_path):
    frame = bars(25).rename(columns={"date": "time", "open": "start", "high": "max", "low": "min", "close": "end"}).drop(columns="amount")
    frame = frame.assign(time=frame["time"].dt.strftime(" %Y/%m/%d"), marketvolume=3e8, marketlimit=0.01, marketrange=20.5)
    frame[["time", "start", "max", "min", "end", "volume", "marketvolume", "marketlimit", "marketrange"]].to_excel(
        tmp_path / "processed_600519.xlsx", index=False
    )
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    stored = store.read_bars("600519")
    np.testing.assert_allclose(stored["close"], bars(25)["close"])
    assert list(stored.columns[-3:]) == ["marketvolume", "marketlimit", "marketrange"]


def test_minute_bars(store, tmp_path):
    times = pd.date_range("2024-01-02 09:45", periods=40, freq="15min").as_unit("s")
    csv(tmp_path / "600519_15min.csv", bars(40).assign(date=times))
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    assert store.symbols()["interval"][0] == 900 and store.read_bars("600519")["date"].tolist() == list(times)


# ---------------------------------------------------------------- units and adjustment
@pytest.mark.parametrize(
    ("scale", "declared", "note"),
    [
        (1, "auto", None),
        (100, "auto", "import.note_lots"),
        (100, "shares", "import.note_unit_differs"),
        (1, "lots", "import.note_unit_differs"),
        (100, "lots", "import.note_lots"),
    ],
)
def test_lots_and_shares_are_told_apart_by_the_amount(store, tmp_path, scale, declared, note):
    frame = bars(80)
    csv(tmp_path / "600519.csv", frame.assign(volume=frame["volume"] / scale))
    report = import_paths(store, [tmp_path], volume_unit=declared)
    np.testing.assert_allclose(store.read_bars("600519")["volume"], frame["volume"])
    assert [entry.key for entry in report.notes] == ([note] if note else [])


def test_forward_adjusted_closes_do_not_hide_the_unit(store, tmp_path):
    """Early closes divided by four: the ratio reads 400 at the start, 100 at the end."""
    frame = bars(400)
    early = np.where(np.arange(400) < 250, 0.25, 1.0)
    adjusted = frame.assign(volume=frame["volume"] / 100, **{name: frame[name] * early for name in ("open", "high", "low", "close")}).iloc[200:]
    adjusted.loc[200:249, ["open", "high", "low", "close"]] *= 2.0  # keep the jump inside what a day may do
    csv(tmp_path / "600519.csv", adjusted)
    import_paths(store, [tmp_path])
    np.testing.assert_allclose(store.read_bars("600519")["volume"], frame["volume"][200:])


def test_a_declared_unit_holds_where_the_data_says_nothing(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(30)[BASE])
    report = import_paths(store, [tmp_path])
    assert [entry.key for entry in report.notes] == ["import.note_unit_unknown"] and "600519.SH" in report.notes[0].message("zh")
    report = import_paths(store, [tmp_path], volume_unit="lots")
    np.testing.assert_allclose(store.read_bars("600519")["volume"], bars(30)["volume"] * 100)


def test_a_unit_that_is_neither_is_refused(store, tmp_path):
    frame = bars(30)
    csv(tmp_path / "600519.csv", frame.assign(volume=frame["volume"] / 7))
    assert the_refusal(import_paths(store, [tmp_path])).key == "import.volume_unit"


def test_preclose_gives_the_exact_factor(store, tmp_path):
    """Ten for ten on day 20: the price halves, the return does not."""
    frame = bars(40)
    for column in ("open", "high", "low", "close"):
        frame.loc[20:, column] = np.round(frame.loc[20:, column] / 2, 2)
    frame["preclose"] = frame["close"].shift(1)
    frame.loc[20, "preclose"] = round(frame["close"][19] / 2, 2)
    frame["amount"] = frame["volume"] * frame["close"]
    csv(tmp_path / "600519.csv", frame)
    import_paths(store, [tmp_path])
    stored = store.read_bars("600519")
    adjusted = np.log(stored["close"] * stored["factor"])
    np.testing.assert_allclose(adjusted.diff()[1:], np.log(frame["close"] / frame["preclose"])[1:], atol=1e-12)
    assert (stored["factor"][:20] == 1).all() and stored["factor"][39] == pytest.approx(2, rel=1e-2)
    assert "preclose" not in stored and store.symbols()["prices"][0] == "raw"


def test_a_preclose_that_is_noise_is_not_believed(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(40).assign(preclose=np.random.default_rng(0).uniform(1, 100, 40)))
    report = import_paths(store, [tmp_path])
    assert [entry.key for entry in report.notes] == ["import.note_column_ignored"]
    assert (store.read_bars("600519")["factor"] == 1).all()


def test_adjusted_close_gives_the_factor(store, tmp_path):
    frame = bars(40)
    frame["adj_close"] = frame["close"] * np.where(np.arange(40) < 10, 0.98, 1.0)
    csv(tmp_path / "AAPL.csv", frame)
    import_paths(store, [tmp_path])
    stored = store.read_bars("AAPL")
    np.testing.assert_allclose(stored["factor"] * 0.98, np.where(np.arange(40) < 10, 0.98, 1.0))


@pytest.mark.parametrize(
    ("change", "declared", "expected"),
    [
        (lambda frame: frame, "auto", "unknown"),
        (lambda frame: frame, "raw", "raw"),
        (lambda frame: frame, "adjusted", "adjusted"),
        (lambda frame: frame * 0.7312345, "auto", "adjusted"),
        (lambda frame: frame * 0.7312345, "raw", "adjusted"),
    ],
)
def test_raw_or_adjusted_is_declared_or_seen(store, tmp_path, change, declared, expected):
    frame = bars(40)
    frame[["open", "high", "low", "close"]] = change(frame[["open", "high", "low", "close"]])
    csv(tmp_path / "600519.csv", frame[BASE])
    import_paths(store, [tmp_path], prices=declared)
    assert store.symbols()["prices"][0] == expected


def test_rows_of_a_halt_without_prices_are_left_out(store, tmp_path):
    frame = bars(30)
    frame.loc[[4, 5], ["open", "high", "low", "close", "volume", "amount"]] = 0
    frame.loc[9, ["open", "high", "low", "volume", "amount"]] = 0  # a halt given as a close alone
    csv(tmp_path / "600519.csv", frame)
    report = import_paths(store, [tmp_path])
    stored = store.read_bars("600519")
    assert len(stored) == 28 and "import.note_empty_rows" in [entry.key for entry in report.notes]
    halted = stored[stored["date"] == frame["date"][9]].iloc[0]
    assert halted["open"] == halted["high"] == halted["close"] and halted["volume"] == 0


# ---------------------------------------------------------------- what is refused
BAD = {
    "missing columns": (lambda frame: frame.drop(columns=["high", "low"]), "bars.missing_columns", None),
    "text in a price": (
        lambda frame: (
            frame.astype({"close": object}).set_axis(frame.columns, axis=1).assign(close=[*frame["close"][:7], "n/a?", *frame["close"][8:]])
        ),
        "bars.not_a_number",
        9,
    ),
    "text in a date": (
        lambda frame: frame.assign(date=[*frame["date"].dt.strftime("%Y-%m-%d")[:5], "soon", *frame["date"].dt.strftime("%Y-%m-%d")[6:]]),
        "bars.bad_date",
        7,
    ),
    "high below low": (lambda frame: frame.assign(high=frame["high"].where(frame.index != 4, 0.5)), "bars.high_below_low", 6),
    "empty price": (lambda frame: frame.assign(low=frame["low"].where(frame.index != 4)), "bars.not_finite", 6),
    "the same day twice": (lambda frame: pd.concat([frame, frame.iloc[[3]].assign(close=frame["open"][3])]), "bars.duplicate_date", 5),
    "negative price": (lambda frame: frame.assign(low=frame["low"].where(frame.index != 6, -3.0)), "import.negative_prices", 8),
    "negative volume": (lambda frame: frame.assign(volume=frame["volume"].where(frame.index != 6, -3.0)), "bars.negative_volume", 8),
    "a jump no market makes": (
        lambda frame: frame.assign(**{name: frame[name] * np.where(frame.index < 15, 1, 0.01) for name in ("open", "high", "low", "close")})[BASE],
        "import.mixed_adjustment",
        17,
    ),
    "no row": (lambda frame: frame.iloc[:0], "bars.empty", None),
    "nothing but empty rows": (lambda frame: frame.assign(**dict.fromkeys(BASE[1:], 0)), "import.only_empty_rows", None),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused_with_their_line_and_the_rest_is_imported(store, tmp_path, name):
    change, key, line = BAD[name]
    csv(tmp_path / "in" / "600519.csv", change(bars(30)))
    csv(tmp_path / "in" / "000001.csv", bars(30))
    report = import_paths(store, [tmp_path / "in"])
    assert report.imported == ["000001.SZ"] and not store.has("600519")
    (refusal,) = report.refused
    assert (refusal.key, refusal.line) == (key, line) and refusal.file.endswith("600519.csv")
    if key == "import.mixed_adjustment":
        assert str(bars(30)["date"][15].date()) in refusal.message("en"), "the day on which the adjustment changes"
    assert "600519" in refusal.message("en") and "600519" in refusal.message("zh")


def test_one_bad_symbol_of_a_table_does_not_stop_the_others(store, tmp_path):
    table = pd.concat(
        [
            bars(20).assign(symbol="600519"),
            bars(20).assign(symbol="AAPL", high=0.1),
            bars(20).assign(symbol="what?"),
            bars(20).assign(symbol="000001"),
        ],
        ignore_index=True,
    )
    csv(tmp_path / "all.csv", table)
    report = import_paths(store, [tmp_path / "all.csv"])
    assert sorted(report.imported) == ["000001.SZ", "600519.SH"]
    assert {entry.symbol: (entry.key, entry.line) for entry in report.refused} == {
        "AAPL": ("bars.high_below_low", 22),
        "what?": ("symbols.unknown", None),
    }


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("600519.csv", b"", "import.empty_file"),
        ("600519.csv", b"\n \n,,\n", "import.empty_file"),
        ("600519.csv", b"hello world\n1,2,3\n", "import.no_header"),
        ("600519.csv", b"\x00\x01\x02\x03" * 50, "import.not_text"),
        ("600519.xlsx", b"PK\x03\x04 broken", "import.unreadable"),
        ("600519.parquet", b"PAR1 broken PAR1", "import.unreadable"),
        ("600519.csv", b"date,open,high,low,close,volume\n2020-01-02,1,1,1\n", "import.ragged"),
        ("600519.csv", b"date,open,high,low,close,volume\n", "bars.empty"),
        ("prices.2020.csv", b"date,open,high,low,close,volume\n2020-01-02,1,1,1,1,5\n", "import.no_symbol"),
        ("data.csv", b"date,open,high,low,close,volume\n2020-01-02,1,1,1,1,5\n", "import.no_symbol"),
    ],
)
def test_files_that_are_no_tables(store, tmp_path, name, content, key):
    (tmp_path / name).write_bytes(content)
    report = import_paths(store, [tmp_path / name])
    assert the_refusal(report).key == key
    with pytest.raises(DataError):
        report.check()


def test_one_row_is_imported_and_pointed_at(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(1))
    report = import_paths(store, [tmp_path])
    assert report.imported == ["600519.SH"] and "import.note_one_row" in [entry.key for entry in report.notes]


def test_columns_that_contradict_each_other(store, tmp_path):
    frame = bars(20)
    text = frame.assign(again=frame["volume"]).rename(columns={"again": "volume.1"})
    text.loc[3, "volume.1"] = np.nan
    csv(tmp_path / "600519.csv", text)
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]
    text.loc[5, "volume.1"] = 1.0
    csv(tmp_path / "600519.csv", text)
    refusal = the_refusal(import_paths(store, [tmp_path]))
    assert (refusal.key, refusal.line) == ("import.columns_disagree", 7)


def test_the_store_s_own_files_are_not_imported_into_it(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(30))
    assert store.data_dir.is_relative_to(tmp_path)
    import_paths(store, [tmp_path])
    assert import_paths(store, [tmp_path]).files == 1


def test_paths_that_hold_nothing(store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        import_paths(store, [tmp_path / "empty"])
    assert caught.value.key == "import.empty_folder"
    with pytest.raises(NotFoundError):
        import_paths(store, [tmp_path / "nowhere"])
    with pytest.raises(ConfigError):
        import_paths(store, [tmp_path], volume_unit="bushels")


def test_a_demo_store_takes_no_real_file(store, tmp_path):
    store.write_bars("600519", bars(30), source="demo")
    csv(tmp_path / "000001.csv", bars(30))
    with pytest.raises(DataError) as caught:
        import_paths(store, [tmp_path])
    assert caught.value.key == "store.synthetic_here"


def test_a_full_disk_ends_the_import_with_one_sentence(store, tmp_path, monkeypatch):
    csv(tmp_path / "000001.csv", bars(30))
    import_paths(store, [tmp_path / "000001.csv"])
    csv(tmp_path / "600519.csv", bars(30))

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError):
        import_paths(store, [tmp_path])
    monkeypatch.undo()
    assert len(store.read_bars("000001")) == 30
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"]  # goes on where it stopped


# ---------------------------------------------------------------- again, and before
def test_unchanged_files_are_not_read_again(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(30))
    csv(tmp_path / "000001.csv", bars(30).assign(high=0.1))
    first = import_paths(store, [tmp_path])
    second = import_paths(store, [tmp_path])
    assert second.unchanged == 1 and second.imported == [] and [entry.key for entry in second.refused] == [entry.key for entry in first.refused]
    os.utime(tmp_path / "600519.csv")  # touched, same content
    assert import_paths(store, [tmp_path]).unchanged == 1
    csv(tmp_path / "600519.csv", bars(31))
    assert import_paths(store, [tmp_path]).imported == ["600519.SH"] and len(store.read_bars("600519")) == 31
    assert import_paths(store, [tmp_path], volume_unit="lots").unchanged == 0  # other settings, read again
    store.remove(["600519"])
    assert import_paths(store, [tmp_path], volume_unit="lots").imported == ["600519.SH"]


def test_a_file_that_was_refused_is_refused_again(store, tmp_path):
    csv(tmp_path / "000001.csv", bars(30).assign(high=0.1))
    for _ in range(2):
        report = import_paths(store, [tmp_path])
        assert report.unchanged == 0
        with pytest.raises(DataError) as error:
            report.check()
        assert error.value.key == "bars.high_below_low"


def test_a_symbol_in_two_files_is_taken_once(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(30))
    csv(tmp_path / "sh600519.csv", bars(20, seed=5))
    report = import_paths(store, [tmp_path])
    assert report.imported == ["600519.SH"] and len(store.read_bars("600519")) == 30
    assert [entry.key for entry in report.notes] == ["import.note_twice"]


def test_the_plan_shows_how_a_file_would_be_read_and_stores_nothing(store, tmp_path):
    frame = bars(80).rename(
        columns={"date": "日期", "close": "收盘", "open": "开盘", "high": "最高", "low": "最低", "volume": "成交量", "amount": "成交额"}
    )
    csv(tmp_path / "600519.csv", frame.assign(成交量=frame["成交量"] / 100), encoding="gbk")
    csv(tmp_path / "000001.csv", bars(30).assign(high=0.1))
    plan = plan_import([tmp_path])
    bad, good = plan.files
    assert (good.mapping["close"], good.unit, good.encoding, good.symbols, good.rows) == ("收盘", "lots", "gb18030", ("600519.SH",), 80)
    assert [entry.key for entry in bad.problems] == ["bars.high_below_low"]
    assert plan_import([tmp_path], limit=1).more == 1
    assert not store.has("600519")


def test_a_mapping_can_be_corrected(store, tmp_path):
    csv(tmp_path / "600519.csv", bars(30).rename(columns={"close": "Schluss"}))
    assert the_refusal(import_paths(store, [tmp_path])).key == "bars.missing_columns"
    assert import_paths(store, [tmp_path], columns={"close": "Schluss"}).imported == ["600519.SH"]
    csv(tmp_path / "600519.csv", bars(30))
    assert the_refusal(import_paths(store, [tmp_path], columns={"amount": "Umsatz"})).key == "import.no_such_column"
    assert import_paths(store, [tmp_path], columns={"amount": ""}).imported == ["600519.SH"] and store.read_bars("600519")["amount"].isna().all()


def test_progress_and_stop(store, tmp_path):
    for number in range(4):
        csv(tmp_path / f"{600000 + number}.csv", bars(5))
    told = []
    stop = threading.Event()

    def progress(stage, done, total):
        told.append((stage, done, total))
        if done == 2:
            stop.set()

    with pytest.raises(Stopped):
        import_paths(store, [tmp_path], progress=progress, stop=stop)
    assert told == [("import", 1, 4), ("import", 2, 4)] and len(store.symbols()) == 2
    assert import_paths(store, [tmp_path]).imported == ["600002.SH", "600003.SH"]


def test_an_industry_table_beside_the_bars(store, tmp_path):
    for code in ("600519", "000001", "600000"):
        csv(tmp_path / "in" / f"{code}.csv", bars(5))
    table = pd.DataFrame(
        {
            "symbol": ["600519.SH", "000001.SZ", "600000.SH", "bad code!", "000002.SZ"],
            "name": ["贵州茅台", "平安银行", "浦发银行", "?", "万科A"],
            "industry": ["白酒", "银行", "算命", "银行", "全国地产"],
        }
    )
    table.to_csv(tmp_path / "industry.csv", index=False)
    report = import_paths(store, [tmp_path / "in"], industry=tmp_path / "industry.csv")
    assert store.industries() == {"600519.SH": "consumer", "000001.SZ": "finance", "600000.SH": "other"}
    assert report.unmapped == {"算命": 1} and report.industries == 3 and store.names()["600519.SH"] == "贵州茅台"
    assert [(entry.key, entry.line) for entry in report.refused] == [("symbols.unknown", 5)]
    assert report.to_dict()["refused"][0]["message"]
    with pytest.raises(DataError) as caught:
        import_paths(store, [tmp_path / "in"], industry=tmp_path / "in" / "600519.csv")
    assert caught.value.key == "import.industry_columns"


# ---------------------------------------------------------------- real files
@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "symbol", "rows", "first", "last", "shares"),
    [
        ("chinese_headers_000001.csv", "000001.SZ", 842, "2021-01-04", "2024-06-26", 155421600),
        ("duplicate_volume_column_000001.csv", "000001.SZ", 710, "2022-04-26", "2025-03-31", 988209),
        ("gbk_descending_index_000300.csv", "000300.SH", 4556, "2002-01-04", "2020-10-16", 0),
        ("two_header_rows_600519.csv", "600519.SH", 21, "2025-03-03", "2025-03-31", 3159566),
    ],
)
def test_odd_real_files_are_read_as_meant(store, real_data, name, symbol, rows, first, last, shares):
    report = import_paths(store, [real_data / "quirks" / name])
    assert report.imported == [symbol] and not report.refused
    row = store.symbols("all").iloc[0]
    assert (row["rows"], row["first"], row["last"]) == (rows, first, last)
    assert store.read_bars(symbol)["volume"][0] == shares


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "key", "line", "date"),
    [
        ("negative_prices_600036.csv", "import.negative_prices", 2, "2002-04-09"),
        ("mixed_adjustment_000001.csv", "import.mixed_adjustment", 5, "2024-08-30"),
    ],
)
def test_bad_real_files_are_refused_for_the_right_reason(store, real_data, name, key, line, date):
    refusal = the_refusal(import_paths(store, [real_data / "quirks" / name]))
    assert (refusal.key, refusal.line, refusal.fields["date"]) == (key, line, date)


@pytest.mark.real
def test_real_unadjusted_bars_get_the_exchange_s_own_returns(store, real_data):
    report = import_paths(store, [real_data / "a_share_daily_unadjusted" / "600519.SH.csv"], industry=real_data / "labels" / "a_share_industry.csv")
    assert report.imported == ["600519.SH"] and not report.unmapped and not report.notes
    source = pd.read_csv(real_data / "a_share_daily_unadjusted" / "600519.SH.csv")
    stored = store.read_bars("600519")
    found = np.log(stored["close"] * stored["factor"]).diff()[1:]
    np.testing.assert_allclose(found, np.log(source["close"] / source["preclose"])[1:], atol=2e-5)
    assert (stored["close"] == source["close"]).all() and {"pb", "pe", "turnover", "is_st", "trade_status"} <= set(stored.columns)
    assert store.industries() == {"600519.SH": "consumer"}


@pytest.mark.real
def test_real_sheets(store, real_data):
    path = real_data / "equinet_xlsx" / "processed_000008.xlsx"
    assert import_paths(store, [path]).imported == ["000008.SZ"]
    again = pd.read_excel(path)
    stored = store.read_bars("000008")
    assert len(stored) == len(again) and stored["close"].tolist() == again["end"].tolist()


@pytest.mark.real
def test_real_american_and_minute_files(store, tmp_path, real_data):
    report = import_paths(store, [real_data / "us_five" / "AAPL.csv", real_data / "us_index"])
    assert set(report.imported) == {"AAPL", "^GSPC", "^IXIC"} and not report.refused
    minutes = Store(tmp_path / "minutes")
    assert import_paths(minutes, [real_data / "minute" / "a_share_15min" / "600519.SH.csv"]).imported == ["600519.SH"]
    assert [store.symbols()["interval"].tolist(), minutes.symbols()["interval"].tolist()] == [[86_400], [900]]


def test_a_parquet_whose_text_is_no_text_is_refused(store, tmp_path):
    path = tmp_path / "600519.parquet"
    bars(30).assign(note="abcdefgh").to_parquet(path, compression=None)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"abcdefgh", b"abc\xbbefgh"))
    (refusal,) = import_paths(store, [tmp_path]).refused
    assert refusal.key == "import.unreadable" and refusal.message("en") and refusal.message("zh")
