"""The list of what a model reads: every chosen feature with its line, in the reader's language."""

from financial_model.features import registry
from financial_model.text import translate
from financial_model.ui.feature_list import feature_table
from financial_model.ui.text import View, escape


def test_every_feature_of_the_chosen_groups_stands_with_its_explanation():
    for language in ("en", "zh"):
        shown = feature_table(View(language, "red_up"), ["market", "price"])
        chosen = [entry for entry in registry.describe() if entry["group"] in ("market", "price")]
        assert len(chosen) > 15
        for entry in chosen:
            assert f"<code>{entry['name']}</code>" in shown and (escape(entry[language]) in shown or "industr" in entry["en"])
        assert "rank_return_5" not in shown


def test_an_industry_is_called_as_everywhere_else():
    shown = feature_table(View("zh", "red_up"), ["market"])
    assert "行业“房地产”5 日收益" in shown and "real_estate 5" not in shown


def test_a_formula_is_listed_and_one_that_cannot_be_read_is_said():
    shown = feature_table(View("en", "red_up"), ["price"], "rank(mean(close, 5) / close - 1), delta(close, 3) / close")
    assert shown.count(translate("ui.features.formula", "en")) == 2
    assert "k-note bad" in feature_table(View("en", "red_up"), ["price"], "mean(close, ")


def test_no_group_says_what_to_do():
    assert translate("ui.features.none", "zh") in feature_table(View("zh", "red_up"), [])
