"""``recover`` as a person and as a program read it."""

from tests.cli.conftest import TINY

SMALL = ["--quick", "--stocks", "30", "--years", "1.5", "--variants", "linear,null", *[word for word in TINY if word not in ("--horizon", "3")]]


def test_a_table_for_a_person_and_one_object_for_a_program(shell):
    said = shell("recover", *SMALL, "--json")
    assert said.code == 0, said.err
    rows = said.data["variants"]
    assert set(rows) == {"linear", "null"} and rows["linear"]["oracle_ic"] > 0 and rows["null"]["oracle_ic"] is None
    assert said.data["stocks"] == 30 and said.data["settings"]["backbone"] == "gru"
    text = shell("recover", *SMALL, "--language", "zh").out
    assert "linear" in text and "真相 IC" in text and "lightgbm" in text


def test_what_cannot_be_tried_is_said_in_one_line(shell):
    assert "magic" in shell.refuses("recover", "--variants", "magic")
    assert "seeds" in shell.refuses("recover", "--seeds", "0")
    assert "epochs" in shell.refuses("recover", "--epochs", "0")
