"""Every command on a small demo market: one JSON object for a program, a readable text for a person."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from financial_model import cli, config
from financial_model.cli.arguments import build_parser, settings_of
from financial_model.cli.main import COMMANDS
from financial_model.text import translate
from tests.cli.conftest import TINY, Shell

ROOT = Path(cli.__file__).parents[2]
METRICS = {"ic", "rank_ic", "icir", "direction", "direction_base_rate", "direction_interval", "balanced_accuracy", "mae_percent", "rmse_percent",
           "coverage_80", "pinball"}


@pytest.fixture
def copy(demo, tmp_path):
    """The demo workspace to write into."""
    shutil.copytree(demo.folder, tmp_path / "copy")
    return Shell(tmp_path / "copy")


# ---------------------------------------------------------------- data
def test_download_fills_the_store(demo):
    assert demo.downloaded.code == 0
    assert demo.downloaded.data["summary"]["stocks"] == 60 and demo.downloaded.data["summary"]["synthetic"] is True


def test_import_reads_files_and_names_what_it_refuses(shell, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = "\n".join(f"2024-01-{day:02d},10,11,9,10.5,1000" for day in range(2, 30))
    (folder / "600519.csv").write_text(f"date,open,high,low,close,volume\n{rows}\n")
    (folder / "600036.csv").write_text("date,open,high,low,close,volume\n2024-01-02,10,x,9,10,1000\n")
    said = shell("import", str(folder), "--json")
    assert said.code == 0 and said.data["imported"] == ["600519.SH"] and said.data["rows"] == 28
    assert "600036" in said.data["refused"][0]["message"] and "x" in said.data["refused"][0]["message"]
    text = shell("import", str(folder)).out
    assert "600036" in text


def test_import_of_industries(shell, tmp_path):
    rows = "\n".join(f"2024-01-{day:02d},10,11,9,10.5,1000" for day in range(2, 30))
    (tmp_path / "600519.csv").write_text(f"date,open,high,low,close,volume\n{rows}\n")
    (tmp_path / "table.csv").write_text("symbol,industry\n600519.SH,白酒\n")
    assert shell("import", str(tmp_path / "600519.csv"), "--industry", str(tmp_path / "table.csv"), "--json").data["industries"] == 1


def test_analyze_counts_the_universe(demo):
    found = demo("analyze", "--json").data
    assert found["stocks"] == 60 and sum(found["counts"]["industry"].values()) <= 60 and len(found["table"]) == 60
    assert "2025-12-31" in demo("analyze").out and "60 只股票" in demo("analyze", "--language", "zh").out


def test_sources_features_and_models_are_lists(demo):
    assert "demo" in [entry["name"] for entry in demo("sources", "--json").data["sources"]]
    assert {entry["group"] for entry in demo("features", "--json").data["features"]} <= set(config.FEATURE_GROUPS)
    models = {entry["name"]: entry["parameters"] for entry in demo("models", "--json").data["models"]}
    assert set(models) == set(config.BACKBONES) and 2e6 < models["cnn_lstm"]["concat"] < 3e6
    for command in ("sources", "features", "models"):
        assert len(demo(command, "--language", "zh").out.splitlines()) > 3


# ---------------------------------------------------------------- runs
def test_train_answers_with_the_run_and_its_metrics(demo):
    said = demo.trained
    assert said.code == 0 and said.data["state"] == "finished" and said.data["run"].startswith("first_")
    assert METRICS <= set(said.data["metrics"]) and {"oracle_ic", "recovery"} <= set(said.data["metrics"])
    assert "Training ..." in said.err and "validation loss" in said.err
    assert any("RankIC" in sentence for sentence in said.data["verdict"])


def test_evaluate_stands_beside_the_baselines_and_writes_the_report(demo, tmp_path):
    found = demo("evaluate", "first", "--html", str(tmp_path / "report.html"), "--json").data
    assert METRICS <= set(found) and set(found["baselines"]) == set(config.BASELINES)
    assert found["test_opened"] == 1 and found["verdict"] and (tmp_path / "report.html").read_text("utf-8").startswith("<!")
    text = demo("evaluate", "first", "--language", "zh").out
    assert "本模型" in text and "ridge" in text


def test_evaluate_tells_on_request_which_inputs_the_forecast_lives_on(copy):
    found = copy("evaluate", "first", "--importance", "--json").data
    assert {row["name"] for row in found["importance"]["rows"]} == {"return", "rank", "condition"} and found["test_opened"] == 1
    assert found["tear_sheet"]["groups"] and len(found["tear_sheet"]["decay"]) == 3
    assert "输入组" in copy("evaluate", "first", "--importance", "--language", "zh").out


def test_runs_lists_the_newest_first(demo):
    runs = demo("runs", "--json").data["runs"]
    assert runs[0]["name"] == "first" and runs[0]["state"] == "finished" and runs[0]["config"]["model"] == "gru"
    text = demo("runs").out
    assert "first_" in text and "base rate" in text
    best = max((entry["rank_ic"], name) for name, entry in runs[0]["metrics"]["baselines"].items() if entry["rank_ic"] is not None)
    assert f"{best[1]} {best[0]:.3f}" in text


def test_export_gives_a_file_that_forecasts_on_its_own(demo, tmp_path):
    target = tmp_path / "model.safetensors"
    found = demo("export", "first", str(target), "--json").data
    assert found["checkpoint"] == "final" and found["bytes"] == target.stat().st_size
    import financial_model
    from financial_model.market.store import Store

    bars = Store(demo.folder / "data").read_bars(str(financial_model.load(target).symbols[0]))
    assert len(financial_model.load(target).predict(bars, horizon=3)) == 3


def test_export_of_another_checkpoint_in_another_form(demo, tmp_path):
    pytest.importorskip("onnxscript")
    found = demo("export", "first", str(tmp_path / "best"), "--checkpoint", "best", "--format", "onnx", "--json").data
    assert found["checkpoint"] == "best" and found["format"] == "onnx" and found["difference"] < 1e-6 and (tmp_path / "best.json").is_file()


# ---------------------------------------------------------------- forecasts
def test_predict_gives_the_days_ahead(demo):
    symbol = demo("rank", "first", "--top", "1", "--json").data["stocks"][0]["symbol"]
    found = demo("predict", "first", "--symbol", symbol, "--days", "2", "--json").data
    assert [day["day"] for day in found["table"]] == [1, 2] and found["as_of"] == "2025-12-31" and "synthetic" in " ".join(found["notes"]).lower()
    assert sum(found["classes"].values()) == pytest.approx(1)
    text = demo("predict", "first", "--symbol", symbol, "--language", "zh").out
    assert "上涨概率" in text and "涨 " in text and "最强基线" in text
    assert found["tested"]["metrics"]["baselines"] and found["tested"]["test"]["first"]


def test_rank_gives_the_pool_and_a_file(demo, tmp_path):
    found = demo("rank", "first", "--top", "5", "--csv", str(tmp_path / "pool.csv"), "--json").data
    assert [entry["rank"] for entry in found["stocks"]] == [1, 2, 3, 4, 5] and found["considered"] == 60
    with (tmp_path / "pool.csv").open(encoding="utf-8-sig") as stream:
        assert len(list(csv.DictReader(stream))) == 5
    assert (tmp_path / "pool.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    industries = {entry["industry"] for entry in demo("rank", "first", "--industry", "finance", "--top", "0", "--json").data["stocks"]}
    assert industries == {"finance"}
    text = demo("rank", "first").out
    assert "模拟" in text and "The model's test from" in text


def test_backtest_shows_the_portfolio_and_writes_its_trades(copy, tmp_path):
    found = copy("backtest", "first", "--top", "5", "--drop", "2", "--industry-cap", "0.4", "--csv", str(tmp_path / "trades.csv"), "--json").data
    assert found["settings"]["top"] == 5 and found["metrics"]["trades"] == len(found["trades"]) and found["verdict"]
    assert {"sharpe", "max_drawdown", "break_even_cost_equal_weight", "information_ratio_equal_weight"} <= set(found["metrics"])
    with (tmp_path / "trades.csv").open(encoding="utf-8-sig") as stream:
        assert len(list(csv.DictReader(stream))) == len(found["trades"])
    text = copy("backtest", "first", "--language", "zh").out
    assert "等权股票池" in text and "最大回撤" in text
    assert "top" in copy.refuses("backtest", "first", "--top", "0")


# ---------------------------------------------------------------- machine
def test_doctor_says_what_is_there_and_what_to_do(demo, shell):
    found = demo("doctor", "--json").data
    assert found["data"]["stocks"] == 60 and found["runs"] == {"finished": 1} and found["machine"]["torch"]
    empty = shell("doctor", "--json").data
    assert any("demo market" in line for line in empty["advice"]) and not (shell.folder / "data").exists()
    assert "torch" in shell("doctor").out


def test_doctor_rebuilds_a_lost_database(copy):
    (copy.folder / "data" / "market.sqlite").write_bytes(b"rubbish")
    found = copy("doctor", "--rebuild", "--json")
    assert found.code == 0 and found.data["data"]["stocks"] == 60
    assert copy("rank", "first", "--json").data["considered"] == 60


# ---------------------------------------------------------------- the command line itself
def test_every_command_is_documented_in_both_languages():
    for language in ("en", "zh"):
        text = build_parser(language).format_help()
        for command in COMMANDS:
            assert translate(f"cli.{command}.about", language)[:12] in text


def test_every_setting_is_a_flag_with_its_help():
    parser = build_parser("zh")._subparsers._group_actions[0].choices["train"]
    text = parser.format_help()
    for entry in config.fields():
        assert f"--{entry.flag}" in text
        assert translate(f"form.{entry.name}.label", "zh") and translate(f"form.{entry.name}.help", "en")


def test_flags_give_the_configuration_they_say():
    typed = build_parser().parse_args([
        "train", "--preset", "quick", "--model", "lstm", "--symbols", "600519,000001.SZ", "--down", "-0.05", "--no-skip", "--epochs", "7",
        "--quantile-levels", "0.1,0.5,0.9"])
    built = config.build(settings_of(typed), preset=typed.preset)
    assert built.model.backbone == "lstm" and built.universe.symbols == ("600519", "000001.SZ") and built.label.down == -0.05
    assert built.model.skip is False and built.model.quantile_levels == (0.1, 0.5, 0.9) and built.training.epochs == 7
    assert built.training.windows_per_epoch == config.PRESETS["quick"]["windows_per_epoch"]


def test_what_is_not_typed_keeps_its_default():
    assert config.build(settings_of(build_parser().parse_args(["train"]))) == config.RunConfig()


def test_help_and_version_leave_with_success(demo, capsys):
    from financial_model.__main__ import main

    for arguments in (["--help"], ["train", "--help"], ["--version"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out


def test_the_language_comes_from_the_environment_where_it_is_not_typed(monkeypatch, shell):
    monkeypatch.setenv("KAIROS_LANGUAGE", "zh")
    assert "还没有运行" in shell("runs").out
    assert "There are no runs" in shell("runs", "--language", "en").out


def test_a_bug_exits_1_with_a_number_and_no_traceback(shell, monkeypatch):
    from financial_model.cli import training

    def bug(*_):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(training, "runs", bug)
    said = shell("runs", "--json")
    assert said.code == 1 and "Traceback" not in said.err and "inside" not in said.err
    number = said.data["id"]
    assert number in said.errors[0]
    assert "ZeroDivisionError" in next(shell.folder.rglob(f"error_{number}.txt")).read_text("utf-8")


# ---------------------------------------------------------------- as a process of its own
def python(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "financial_model", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def test_ctrl_c_stops_a_training_so_that_it_can_be_resumed(copy):
    import signal

    folders = ("--data-dir", copy.folder / "data", "--checkpoint-dir", copy.folder / "runs")
    settings = [*TINY, "--epochs", "500", "--windows-per-epoch", "4000", "--patience", "0", "--name", "long", "--json"]
    child = python("train", *settings, *folders)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        found = list((copy.folder / "runs").glob("long_*/best.safetensors"))
        if found:
            break
        time.sleep(0.05)
    assert child.poll() is None, child.stderr.read()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and json.loads(out)["state"] == "stopped" and "Ctrl-C" in err and "Traceback" not in err
    assert copy("runs", "--json").data["runs"][0]["state"] == "stopped"
    refused = copy.refuses("train", "--resume", "long", "--epochs", "3")
    assert "keeps its settings" in refused


def test_serve_opens_the_page_on_the_next_free_port_and_closes_on_ctrl_c(demo):
    import signal
    import socket
    import urllib.request

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        child = python("serve", "--port", port, "--data-dir", demo.folder / "data", "--checkpoint-dir", demo.folder / "runs", "--json")
        said = [child.stderr.readline() for _ in range(2)]
        assert f"Port {port} is taken" in said[0], said
        url = next(word for word in said[1].split() if word.startswith("http"))
        with urllib.request.urlopen(url, timeout=30) as page:
            assert page.status == 200 and b"Kairos" in page.read()
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and json.loads(out)["url"] == url


def test_a_pipe_that_closes_early_is_no_error(demo):
    child = python("features", "--data-dir", demo.folder / "data")
    child.stdout.close()
    assert "Traceback" not in child.stderr.read()
    child.wait()


def test_main_as_a_module_prints_one_json_object(demo):
    child = python("runs", "--json", "--checkpoint-dir", demo.folder / "runs")
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and json.loads(out)["runs"][0]["name"] == "first" and err == ""


def test_an_interrupted_run_is_finished_from_the_command_line(demo, copy):
    from financial_model.serving.runs import RunStore

    first, store = demo.trained.data["run"], RunStore(copy.folder / "runs")
    path = store.info(first).path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running", "pid": 2**22 + 5}))  # as a kill after the last step leaves it
    assert copy("runs", "--json").data["runs"][0]["state"] == "interrupted"
    assert any("first" in line for line in copy("doctor", "--json").data["advice"])
    resumed = copy("train", "--resume", "first", "--json")
    assert resumed.code == 0 and resumed.data["state"] == "finished" and resumed.data["run"] == first
    assert store.info(first).state == "finished"
