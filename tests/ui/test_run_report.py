"""Two runs side by side by their settings, and the list's filter."""

from pathlib import Path

from financial_model import config as settings
from financial_model.serving.runs import RunInfo
from financial_model.ui.run_report import difference
from financial_model.ui.tables import Written, matches
from tests.ui.builders import CHINESE, ENGLISH


def run(name, **values):
    config = settings.to_dict(settings.build({"name": name, **values}))
    return RunInfo(id=f"{name}_1", name=name, path=Path("-"), state="finished", created="", updated="", config=config)


def test_only_what_differs_is_listed_in_the_readers_words():
    html = difference(CHINESE, run("a", epochs=3), run("a", epochs=9, groups="price"))
    assert html.count("<tr>") == 3 and "训练轮数" in html and ">3<" in html and ">9<" in html and "价格, 收益" in html and ">价格<" in html
    assert "All settings are the same" in difference(ENGLISH, run("a"), run("a"))


def test_a_name_cannot_become_markup():
    assert "<b>" not in difference(ENGLISH, run("a", start="2020-01-01"), RunInfo(**{**vars(run("a")), "id": "<b>x</b>"}))


def test_every_word_of_the_filter_must_stand_in_the_row():
    row = ["night", "LSTM", "none", "Finished", Written(0.0763, "+7.6 %")]
    assert matches(row, "lstm fin") and matches(row, "") and matches(row, None) and not matches(row, "lstm failed")
    assert matches(row, "+7.6 %") and not matches(row, "0.0763"), "what is shown, not what it is sorted by"
