"""``download`` from a TDX host by its own flags, ``integrity``, and ZIPs: against a server on loopback."""

import csv
import io
import zipfile

import pytest

from tests.cli.conftest import Shell
from tests.fakes.tdx import Faults, TdxServer
from tests.fakes.tdx_market import make_market
from tests.market.builders import bars


@pytest.fixture(scope="module")
def server():
    with TdxServer(make_market(8, 300, noise=1)) as found:
        yield found


@pytest.fixture(scope="module")
def filled(server, tmp_path_factory):
    call = Shell(tmp_path_factory.mktemp("filled"))
    call.first = call("download", *source(server), "--count", "4", "--json")
    return call


def source(server, *more: str) -> list[str]:
    return ["--source", "tdx", "--server", f"127.0.0.1:{server.port}", *more]


def test_a_plan_says_what_would_come_and_fetches_nothing(server, shell):
    found = shell("download", *source(server), "--count", "5", "--plan", "--json").data
    assert (found["stocks"], found["new"], found["update"]) == (6, 6, 0) and found["bars"] > 0 and "index" not in found["items"]
    assert "6 symbols to fetch" in shell("download", *source(server), "--count", "5", "--plan").out
    assert not (shell.folder / "data" / "training_data").exists()


def test_a_download_names_what_it_stored_and_a_second_finds_it_current(server, filled):
    assert filled.first.code == 0 and len(filled.first.data["stored"]) == 5 and filled.first.data["summary"]["indices"] == ["000300.SH"]
    again = filled("download", *source(server), "--count", "4", "--json").data
    assert (again["stored"], again["current"]) == ([], 5)
    assert "5 个已是最新" in filled("download", *source(server), "--count", "4", "--language", "zh").out


def test_boards_and_packets_are_passed_on(server, shell):
    found = shell("download", *source(server, "--packets", "1", "--boards", "star", "--count", "0"), "--json").data
    assert [symbol[:3] for symbol in found["stored"] if symbol != "000300.SH"] == ["688"]
    assert shell("download", *source(server), "--option", "packets=12", "--count", "1", "--json").code == 0
    assert "nasdaq" in shell.refuses("download", *source(server), "--boards", "nasdaq")


def test_a_flag_a_source_does_not_know_is_named(shell):
    assert "interval" in shell.refuses("download", "--source", "yahoo", "--interval", "5m")
    assert "symbols, exclude_st" in shell.refuses("download", "--source", "demo", "--symbols", "600519", "--exclude-st")
    assert "7d" in shell.refuses("download", "--source", "tdx", "--interval", "7d")
    assert "somewhere" in shell.refuses("download", "--source", "tdx", "--server", "somewhere")


def test_minute_bars_need_a_folder_of_their_own(server, filled):
    assert "--data-dir" in filled.refuses("download", *source(server), "--interval", "5m")


def test_a_server_that_refuses_is_quoted(shell):
    with TdxServer(make_market(2, 260, noise=0), Faults(on={"refuse"})) as refusing:
        assert "客户端与行情主站不匹配" in shell.refuses("download", *source(refusing))


def test_integrity_in_words_as_data_and_as_a_table(filled, tmp_path):
    found = filled("integrity", "--json").data
    assert found["totals"]["symbols"] == 4 and {"gap", "limit", "unit"} >= {entry["kind"] for entry in found["findings"]} - {"behind", "repeated"}
    text = filled("integrity", "--csv", str(tmp_path / "table.csv")).out
    assert "4 symbols" in text and "table.csv" in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text("utf-8-sig"))))
    assert [row["symbol"] for row in rows] == [entry["symbol"] for entry in found["symbols"]]
    one = rows[0]["symbol"]
    assert [entry["symbol"] for entry in filled("integrity", one, "--json").data["symbols"]] == [one]
    assert "停牌日" in filled("integrity", "--language", "zh").out
    assert "600999" in filled.refuses("integrity", "600999")


def test_integrity_of_nothing_says_what_to_do(shell):
    assert "import" in shell.refuses("integrity") or "download" in shell.refuses("integrity")


def test_integrity_of_indices_alone_says_that_they_are_there(shell, tmp_path):
    bars(30).to_csv(tmp_path / "000300.SH.csv", index=False)
    shell("import", str(tmp_path / "000300.SH.csv"))
    said = shell.refuses("integrity")
    assert "no stocks" in said and "000300.SH" in said
    assert shell("integrity", "000300.SH", "--json").data["totals"]["rows"] == 30


def test_how_files_would_be_read_is_shown_and_a_column_can_be_named(shell, tmp_path):
    frame = bars(80)
    chinese = frame.assign(volume=frame["volume"] / 100).rename(columns={"date": "日期", "open": "开盘", "high": "最高", "low": "最低",
                                                                       "close": "Schluss", "volume": "成交量", "amount": "成交额"})
    (tmp_path / "600519.csv").write_bytes(chinese.to_csv(index=False).encode("gbk"))
    path = str(tmp_path / "600519.csv")
    assert "close" in shell("import", path, "--plan").out and "Schluss" in shell("import", path, "--plan").out
    named = ("import", path, "--column", "close=Schluss")
    shown, chinese = shell(*named, "--plan").out, shell(*named, "--plan", "--language", "zh").out
    assert "600519.SH; 80 rows; volume: lots" in shown and "close <- Schluss" in shown and "date <- 日期" in shown and "成交量：手" in chinese
    assert shell(*named, "--plan", "--json").data["files"][0]["mapping"]["close"] == "Schluss"
    assert not (shell.folder / "data" / "training_data").exists(), "a plan stores nothing"
    assert shell(*named, "--json").data["imported"] == ["600519.SH"]
    assert "Kurs" in shell.refuses("import", path, "--column", "close=Kurs")
    assert "price=Schluss" in shell.refuses("import", path, "--column", "price=Schluss")


def test_a_zip_is_imported_like_a_folder(shell, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("a/600519.csv", bars(30).to_csv(index=False))
        archive.writestr("a/600036.csv", "date,open\n2024-01-02,x\n")
    said = shell("import", str(tmp_path / "mine.zip"))
    assert said.code == 0 and "mine.zip/a/600036.csv" in said.out and "1 symbols" in said.out
