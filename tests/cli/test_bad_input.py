"""Whatever a user gets wrong costs him one clear line and exit code 2, and leaves data and runs as they were."""

import errno
import os
import shutil
import socket

import pytest

from tests.cli.conftest import TINY, Shell

HEAD = "date,open,high,low,close,volume\n"
GOOD = "".join(f"2024-01-{day:02d},10,11,9,10.5,1000\n" for day in range(2, 30))


@pytest.fixture
def table(tmp_path):
    """``table(text)``: a bar file with this content."""
    def write(text: str, name: str = "600519.csv") -> str:
        (tmp_path / "in").mkdir(exist_ok=True)
        path = tmp_path / "in" / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


@pytest.fixture
def copy(demo, tmp_path):
    shutil.copytree(demo.folder, tmp_path / "copy")
    return Shell(tmp_path / "copy")


def fingerprint(folder):
    """Every file a user would miss, with its content."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.suffix in (".csv", ".json", ".safetensors") and "panels" not in path.parts and ".tmp" not in path.name}


# ---------------------------------------------------------------- files that cannot be taken
def test_an_empty_folder(shell, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in shell.refuses("import", str(tmp_path / "empty"))


def test_a_path_that_is_not_there(shell, tmp_path):
    assert "nowhere" in shell.refuses("import", str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text, word", [
    ("date,open,high,low,volume\n2024-01-02,1,2,1,5\n", "close"), (HEAD + "2024-01-02,10,x,9,10,1000\n", "x"),
    (HEAD + "2024-01-02,10,8,9,10,1000\n", "high"), (HEAD + "2024-01-02,10,11,9,10,1000\n2024-01-02,10,12,9,11,1000\n", "2024-01-02"),
    (HEAD + "2024-13-45,10,11,9,10,1000\n", "2024-13-45"), (HEAD + "2024-01-02,-10,11,-11,-10,1000\n", "below zero"), (HEAD, ""), ("", "")])
def test_bars_that_say_something_impossible(shell, table, text, word):
    sentence = shell.refuses("import", table(text))
    assert word in sentence and len(sentence) > 30


def test_without_json_the_sentence_is_the_same_and_standard_output_stays_empty(shell, tmp_path):
    said = shell("import", str(tmp_path / "nowhere"))
    assert said.code == 2 and said.out == "" and len(said.err.splitlines()) == 1
    assert shell("import", str(tmp_path / "nowhere"), "--language", "zh").errors[0].startswith("错误：")


def test_dates_newest_first_are_read_in_order(shell, table):
    lines = GOOD.splitlines(keepends=True)
    assert shell("import", table(HEAD + "".join(lines[::-1])), "--json").data["rows"] == 28


def test_a_bad_file_leaves_good_bars_alone(copy, tmp_path):
    before = fingerprint(copy.folder)
    assert "synthetic" in copy.refuses("import", str(tmp_path / "copy" / "data" / "training_data")).lower()
    assert fingerprint(copy.folder) == before


# ---------------------------------------------------------------- too little to learn from
def test_no_data_at_all(shell):
    for command in (["train"], ["analyze"]):
        assert "no market data" in shell.refuses(*command)
    assert not (shell.folder / "runs").exists()


def test_a_symbol_with_one_row(shell, table):
    shell("import", table(HEAD + "2024-01-02,10,11,9,10.5,1000\n"))
    assert "600519" in shell.refuses("train", *TINY)


def test_a_history_shorter_than_the_window(shell, table):
    shell("import", table(HEAD + GOOD))
    assert "28" in shell.refuses("train", *TINY, "--min-history", "10", "--context-length", "100")


def test_an_unknown_symbol(demo):
    assert "600519" in demo.refuses("predict", "first", "--symbol", "999999.XX600519")
    assert "NOPE" in demo.refuses("predict", "first", "--symbol", "NOPE").upper()


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize("arguments, word", [
    (["--model", "transformer", "--hidden", "96", "--heads", "7"], "heads"), (["--model", "wavenet"], "wavenet"), (["--epochs", "many"], "epochs"),
    (["--epochs", "0"], "epochs"), (["--objective", "mse", "--head", "quantile"], "mse"), (["--up", "-0.5", "--down", "0.1"], "up"),
    (["--train", "0.9", "--validation", "0.2"], "0.9"), (["--groups", "astrology"], "astrology"), (["--name", "../x"], "../x"),
    (["--learning-rate", "nan"], "learning_rate"), (["--depth", "3"], "--depth"), (["--preset", "slow"], "slow"),
    (["--context-length", "1.5"], "context_length"), (["--device", "tpu"], "tpu"), (["--start", "soon"], "soon")])
def test_settings_that_cannot_be(copy, arguments, word):
    before = {run["id"] for run in copy("runs", "--json").data["runs"] if run["state"] == "finished"}
    assert word in copy.refuses("train", *[*TINY, *arguments])
    assert {run["id"] for run in copy("runs", "--json").data["runs"] if run["state"] == "finished"} == before


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["train", "--json", "x"], ["predict", "first"], ["rank", "first", "--top", "x"], ["evaluate"], ["download"],
    ["export", "first"], ["runs", "--language", "fr"]])
def test_commands_typed_wrongly(arguments, capsys):
    from financial_model.__main__ import main

    assert main(arguments) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1 and "--help" in said.err


@pytest.mark.parametrize("arguments, word", [
    (["predict", "first", "--symbol", "{s}", "--days", "9"], "3 days"),
    (["predict", "first", "--symbol", "{s}", "--days", "0"], "0"), (["predict", "first", "--symbol", "{s}", "--as-of", "soon"], "soon"),
    (["predict", "first", "--symbol", "{s}", "--as-of", "1999-01-04"], "begins on"), (["rank", "first", "--industry", "shoes"], "shoes"),
    (["rank", "first", "--top", "-1"], "-1"), (["rank", "first", "--min-gain", "0.9"], "60"), (["rank", "first", "--as-of", "1999-01-04"], "1999"),
    (["predict", "nobody", "--symbol", "{s}"], "first"), (["evaluate", "../first"], "../first"), (["rank", "nobody"], "nobody"),
    (["export", "first", "/x", "--checkpoint", "../../config"], "config"), (["train", "--resume", "nobody"], "nobody")])
def test_questions_without_an_answer(demo, arguments, word):
    symbol = demo("rank", "first", "--top", "1", "--json").data["stocks"][0]["symbol"]
    assert word in demo.refuses(*[argument.replace("{s}", symbol) for argument in arguments])


# ---------------------------------------------------------------- checkpoints
@pytest.mark.parametrize("damage", [lambda data: data[:-50], lambda data: b"\x80\x04K\x01.", lambda data: b"", lambda data: b"PK\x03\x04" + data,
                                    lambda data: data[:-8] + b"\x00" * 8])
def test_a_corrupt_or_foreign_checkpoint(copy, damage):
    path = next((copy.folder / "runs").glob("first_*/final.safetensors"))
    path.write_bytes(damage(path.read_bytes()))
    assert "final.safetensors" in copy.refuses("rank", "first")


def test_a_safetensors_file_of_someone_else(copy):
    import torch
    from safetensors.torch import save_file

    path = next((copy.folder / "runs").glob("first_*/final.safetensors"))
    save_file({"weight": torch.zeros(3)}, path)
    assert "final.safetensors" in copy.refuses("predict", "first", "--symbol", "600001.SH")


def test_a_finished_run_is_not_resumed(demo):
    assert "finished" in demo.refuses("train", "--resume", "first")


# ---------------------------------------------------------------- the disk and the port
@pytest.fixture
def full_disk(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("financial_model.paths.os.fsync", full)


def test_a_full_disk(demo, full_disk, tmp_path):
    before = fingerprint(demo.folder)
    for command in (["export", "first", str(tmp_path / "model")], ["rank", "first", "--csv", str(tmp_path / "pool.csv")], ["train", *TINY]):
        assert "disk is full" in demo.refuses(*command)
    assert not (tmp_path / "model").exists() and not (tmp_path / "pool.csv").exists()
    assert {path: data for path, data in fingerprint(demo.folder).items() if path in before} == before


def test_a_folder_that_cannot_be_written(demo, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "could not be written" in demo.refuses("export", "first", str(tmp_path / "file" / "model"))
    assert "folder" in demo.refuses("export", "first", str(tmp_path))


def test_no_free_port(demo, monkeypatch):
    from financial_model.ui import app

    monkeypatch.setattr(app, "PORTS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert str(taken.getsockname()[1]) in demo.refuses("serve", "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize("arguments, word", [
    (["--port", "70000"], "70000"), (["--auth", "nobody"], "USER:PASS"), (["--host", "0.0.0.0"], "0.0.0.0")])
def test_a_page_that_must_not_be_served(demo, arguments, word):
    assert word in demo.refuses("serve", *arguments)


def test_an_unreadable_store_says_how_to_mend_it(copy):
    for path in (copy.folder / "data").glob("market.sqlite-*"):  # a journal beside it would still be read
        path.unlink()
    (copy.folder / "data" / "market.sqlite").write_bytes(b"rubbish" * 1000)
    assert copy.refuses("rank", "first")
    assert any("--rebuild" in line for line in copy("doctor", "--json").data["advice"])
