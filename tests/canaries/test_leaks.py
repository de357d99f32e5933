"""The table of docs/why-not-70-percent.md: every leak looks like skill on a random walk, every honest twin like nothing."""

from pathlib import Path

import pytest

from benchmarks import leaks

PAGE = Path(leaks.__file__).parents[1] / "docs" / "why-not-70-percent.md"


@pytest.fixture(scope="module")
def cases():
    return leaks.measure(3)


def test_every_leak_reads_like_a_result_worth_printing(cases):
    for case in cases:
        assert case.leaky > 0.6, case.name


def test_all_but_the_large_class_are_far_above_their_base_rate(cases):
    for case in cases:
        beyond = case.leaky - case.leaky_base
        assert beyond == 0 if "class" in case.name else beyond > 0.08, case.name


def test_the_same_task_done_honestly_is_not_above_its_base_rate(cases):
    for case in cases:
        assert abs(case.honest - 0.5) < 0.03 and case.honest < case.honest_base + 0.01, case.name


def test_repeating_yesterday_explains_nearly_all_of_a_price_level():
    assert leaks.level_fit(leaks.Walk(0)) > 0.8


def test_the_page_prints_what_the_script_prints():
    """The figures in the page are the script's own, row by row."""
    text = PAGE.read_text("utf-8")
    for line in leaks.render(leaks.measure(), 0.0).splitlines()[:-1]:
        assert line in text
