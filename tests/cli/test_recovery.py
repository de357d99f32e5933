"""``recover`` as a person and as a program read it."""

import shutil

from tests.cli.conftest import TINY, Shell

SMALL = ["--quick", "--stocks", "30", "--years", "1.5", "--variants", "linear,null", *[word for word in TINY if word not in ("--horizon", "3")]]


def test_a_table_for_a_person_and_one_object_for_a_program(shell):
    said = shell("recover", *SMALL, "--json")
    assert said.code == 0, said.err
    rows = said.data["variants"]
    assert set(rows) == {"linear", "null"} and rows["linear"]["oracle_ic"] > 0 and rows["null"]["oracle_ic"] is None
    assert said.data["stocks"] == 30 and said.data["settings"]["backbone"] == "gru"
    text = shell("recover", *SMALL, "--variants", "linear", "--language", "zh").out
    assert "linear" in text and "真相 IC" in text and "lightgbm" in text


def test_what_cannot_be_tried_is_said_in_one_line(shell):
    assert "magic" in shell.refuses("recover", "--variants", "magic")
    assert "seeds" in shell.refuses("recover", "--seeds", "0")
    assert "epochs" in shell.refuses("recover", "--epochs", "0")


def test_the_settings_of_a_run_are_tried_and_its_report_tells_what_the_null_market_gave(demo, tmp_path):
    shutil.copytree(demo.folder, tmp_path / "copy")
    copy = Shell(tmp_path / "copy")
    report = next((copy.folder / "runs").glob("first_*/report.html"))
    before = report.read_text("utf-8")
    said = copy("recover", "first", "--variants", "null", "--stocks", "30", "--years", "1.5", "--json")
    assert said.code == 0 and said.data["run"].startswith("first_") and said.data["settings"]["hidden"] == 16
    after = report.read_text("utf-8")
    assert after != before and f"{said.data['variants']['null']['direction']:.1%}"[:4] in after
    assert "leave the other settings out" in copy.refuses("recover", "first", "--epochs", "3")
    copy.refuses("recover", "nobody")
