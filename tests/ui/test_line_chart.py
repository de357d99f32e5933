"""The chart that is drawn as text: what stands where, what is cut off, and that nothing from outside becomes markup."""

import re
import threading

import pytest

from financial_model.ui.drawn import Drawn
from financial_model.ui.line_chart import lines

GIVEN = {
    "series": {"loss": ([0.0, 1.0, 2.0], [1.0, 0.5, 2.0])},
    "colours": {"loss": "#123456", "level": "#654321"},
    "x_range": (0.0, 4.0),
    "y_range": (0.0, 1.0),
    "x_title": "Epoch",
    "y_title": "Loss",
    "whole": "Whole screen",
}


def chart(**changed):
    return lines(**(GIVEN | changed))


def labels(text, axis):
    return re.findall(rf'<i class="{axis}" style="[a-z]+:([\d.]+)%">([^<]+)</i>', text)


def test_points_stand_where_they_belong_and_beyond_the_range_they_go_on():
    assert 'data-name="loss" style="stroke:#123456" d="M0.0 0.00L250.0 500.00L500.0 -1000.00"' in chart()
    assert "overflow" not in chart(), "the look cuts off what lies outside"


def test_the_axes_are_labelled_at_round_values():
    assert [label for _, label in labels(chart(), "y")] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert labels(chart(), "x")[1] == ("25.00", "1")
    assert labels(chart(y_range=(0.69, 0.695)), "y")[1] == ("80.00", "0.691")
    assert labels(chart(y_range=(0.0, 0.5)), "y")[1][1] == "0.1" and labels(chart(y_range=(0, 1.25)), "y")[1][1] == "0.25"
    assert labels(chart(y_range=(0.0, 4e-4)), "y")[1][1] == "0.0001"
    assert labels(chart(y_range=(0.0, 4e6)), "y")[1][1] == "1e+06"


def test_a_logarithmic_axis_is_labelled_with_the_values_themselves():
    near = labels(chart(y_range=(-0.0132, 0.0212), logarithmic=True), "y")  # 0.97 to 1.05
    assert [label for _, label in near] == ["0.98", "1.00", "1.02", "1.04"]
    assert float(near[1][0]) == pytest.approx(100 * 0.0212 / (0.0212 + 0.0132), abs=0.01), "1 stands where its logarithm is"
    assert [label for _, label in labels(chart(y_range=(-0.6, 0.5), logarithmic=True), "y")] == ["0.5", "1", "2"]
    assert [label for _, label in labels(chart(y_range=(-4.0, 1.7), logarithmic=True), "y")] == ["0.0001", "0.01", "1"]


def test_lines_to_compare_with_lie_below_the_curves():
    text = chart(series=GIVEN["series"] | {"level": ([0.0, 4.0], [0.5, 0.5])})
    assert text.index('class="straight" data-name="level"') < text.index('data-name="loss"') and text.count("straight") == 1
    assert text.index(">loss</span>") < text.index(">level</span>"), "their names stand in the order given"


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-7])
def test_a_single_point_and_a_range_without_width_are_drawn_in_the_middle(value):
    text = chart(series={"loss": ([2.0], [value])}, x_range=(2.0, 2.0), y_range=(value, value))
    assert 'd="M500.0 500.00L500.0 500.00"' in text and labels(text, "y")


def test_nothing_to_draw_is_nothing():
    assert chart(series={}) == chart(series={"loss": ([], [])}) == ""


def test_names_are_text_and_no_markup():
    name = 'a"><script>x</script>'
    text = chart(series={name: ([0], [0])}, colours={name: "#000000"}, x_title="<b>")
    assert "<script" not in text and "<b>" not in text


def test_the_same_is_drawn_once_for_all_and_only_the_last_are_kept():
    drawn, made = Drawn(2), []

    def make(key):
        return drawn.get(key, lambda: made.append(key) or len(made))

    threads = [threading.Thread(target=make, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"] and make("a") == 1
    make("b"), make("c"), make("a")
    assert made == ["a", "b", "c", "a"]
