"""From tickers to a table in one go: on the demo market, on files, and with tickers that are not there."""

import pytest

from financial_model import config as settings
from financial_model.errors import NotFoundError
from financial_model.serving import bringing
from financial_model.serving.quickstart import SETTINGS, chosen, quickstart
from tests.serving.builders import bars, trading_days

TINY = {**SETTINGS, "hidden": 8, "layers": 1, "context_length": 10, "epochs": 1, "windows_per_epoch": 400, "horizon": 3, "groups": "return",
        "device": "cpu", "precision": "fp32"}


@pytest.fixture
def folder(tmp_path):
    """Two stocks as files."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for seed, ticker in enumerate(("AAPL", "TSLA")):
        bars(seed, trading_days(400)).to_csv(mine / f"{ticker}.csv", index=False)
    return mine


def test_files_become_a_table_per_ticker_and_a_page(workspace, folder):
    found = quickstart(workspace, ["files", str(folder)], ["AAPL", "TSLA"], settings.build(TINY))
    assert [row["symbol"] for row in found["rows"]] == ["AAPL", "TSLA", "all"] and found["synthetic"] is False
    for row in found["rows"]:
        assert {"mse", "rmse", "mae", "direction", "base_rate"} <= set(row) and {"zero", "train_mean", "ridge"} == set(row["baselines"])
    page = (workspace.checkpoint_dir / found["run"] / "quickstart.html").read_text("utf-8")
    assert "AAPL" in page and page.count("<svg") == 3


def test_on_the_demo_market_foreign_tickers_get_stand_ins_and_it_says_so(workspace):
    bringing.bring(workspace, ["demo"], count=6)
    found = quickstart(workspace, ["demo"], ["AAPL", "QQQ"], settings.build(TINY))
    assert found["synthetic"] is True and len(set(found["tickers"].values())) == 2 and "AAPL" not in found["tickers"].values()
    assert "AAPL → " in (workspace.checkpoint_dir / found["run"] / "quickstart.html").read_text("utf-8")


def test_a_ticker_that_is_not_there_is_named_before_anything_is_trained(workspace, folder):
    with pytest.raises(NotFoundError, match="NVDA"):
        quickstart(workspace, [str(folder)], ["AAPL", "NVDA"], settings.build(TINY))
    assert not workspace.checkpoint_dir.exists()


def test_without_tickers_the_first_five_are_taken():
    assert list(chosen([], list("abcdefg"), synthetic=False)) == list("abcde")


def test_each_source_has_a_folder_of_its_own(tmp_path, folder):
    places = [bringing.folder_of(source, tmp_path).data_dir for source in (["demo"], ["yahoo"], [str(folder)])]
    assert len(set(places)) == 3 and places[2].parent.name == "mine"


@pytest.mark.parametrize("source", [["nowhere"], ["files"], ["demo", "nowhere"]])
def test_a_source_that_is_neither_known_nor_a_path_is_refused(source, tmp_path):
    with pytest.raises(NotFoundError) as caught:
        bringing.folder_of(source, tmp_path)
    assert caught.value.key == "bring.unknown"


def test_a_demo_market_that_is_there_is_kept(workspace):
    first = bringing.bring(workspace, ["demo"], count=6)
    stamp = (workspace.data_dir / "truth.npz").stat().st_mtime_ns
    assert bringing.bring(workspace, ["demo"], count=9) == first
    assert (workspace.data_dir / "truth.npz").stat().st_mtime_ns == stamp
