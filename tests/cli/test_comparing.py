"""``compare`` and ``quickstart`` as commands: one JSON object, a readable table, files where asked."""

import csv
import shutil

import pytest

from tests.cli.conftest import TINY, Shell

SMALL = [word for place, word in enumerate(TINY) if TINY[max(0, place - 1)] != "--model" and word != "--model"]


@pytest.fixture(scope="module")
def compared(demo, tmp_path_factory):
    """A copy of the demo workspace with one comparison called ``duel``."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(demo.folder, folder / "copy")
    call = Shell(folder / "copy")
    call.said = call("compare", "--models", "gru,mlp", *SMALL, "--name", "duel", "--csv", str(folder / "duel.csv"),
                     "--html", str(folder / "duel.html"), "--json")
    call.files = folder
    return call


def test_compare_answers_with_the_ranked_table(compared):
    assert compared.said.code == 0, compared.said.err
    found = compared.said.data
    assert {row["name"] for row in found["rows"] if row["kind"] == "model"} == {"gru", "mlp"} and found["rank_by"] == "rank_ic"
    assert found["oracle_ic"] and found["best_baseline"] and all(isinstance(sentence, str) for sentence in found["verdict"])


def test_compare_writes_what_it_is_asked_for(compared):
    text = (compared.files / "duel.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(text.decode("utf-8-sig").splitlines()))
    assert len(rows) == len(compared.said.data["rows"]) and {"gru", "mlp"} <= {row["name"] for row in rows}
    assert "<svg" in (compared.files / "duel.html").read_text("utf-8")


def test_a_finished_comparison_is_shown_again_and_ranked_anew_without_training(compared):
    said = compared("compare", "--resume", "duel", "--language", "zh")
    assert said.code == 0 and "validation" not in said.err and "基线" in said.out and "排" not in said.err


def test_existing_runs_of_another_question_are_refused_in_one_line(compared):
    other = next(run["id"] for run in compared("runs", "--json").data["runs"] if run["name"] == "duel-mlp")
    second = compared("train", "--model", "mlp", *SMALL[:-2], "--up", "0.2", "--name", "second", "--json").data["run"]
    assert "another question" in compared.refuses("compare", "--runs", f"{other},{second}")


def test_wrong_words_are_refused_before_any_work(shell):
    assert "two different" in shell.refuses("compare", "--models", "gru")
    assert "luck" in shell.refuses("compare", "--models", "gru,mlp", "--rank-by", "luck")
    assert "nothing" in shell.refuses("compare", "--models", "gru,nothing")
    assert "no-such" in shell.refuses("compare", "--resume", "no-such")
    assert "nowhere" in shell.refuses("quickstart", "--source", "nowhere")


def test_quickstart_on_the_demo_market_needs_no_network(demo, tmp_path):
    shutil.copytree(demo.folder, tmp_path / "copy")
    said = Shell(tmp_path / "copy")("quickstart", "--tickers", "AAPL,TSLA", "--source", "demo", *SMALL, "--json")
    assert said.code == 0, said.err
    assert [row["symbol"] for row in said.data["rows"]][-1] == "all" and len(said.data["rows"]) == 3 and said.data["synthetic"] is True


def test_quickstart_on_the_real_five(real_data, shell):
    """The table other projects print, on the same tickers: no direction far above its base rate, no error far below that of no change."""
    words = ["--source", "files", str(real_data / "us_five"), "--start", "2015-01-01", "--hidden", "8", "--layers", "1", "--context-length", "10",
             "--windows-per-epoch", "1000", "--epochs", "1", "--groups", "return", "--json"]
    said = shell("quickstart", "--tickers", "AAPL,TSLA,NVDA,GOOG,QQQ", *words)
    assert said.code == 0, said.err
    rows = {row["symbol"]: row for row in said.data["rows"]}
    assert set(rows) == {"AAPL", "TSLA", "NVDA", "GOOG", "QQQ", "all"}
    for row in rows.values():
        assert row["direction"] < row["base_rate"] + 0.06, "an honest pipeline does not print 65 % here"
        assert row["baselines"]["zero"]["mae"] == pytest.approx(row["mae"], rel=0.05)
