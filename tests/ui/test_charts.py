"""Figures: plain data in, a Plotly figure out, in the visitor's words and colours."""

import json

import pytest

from financial_model.config import REGIMES
from financial_model.ui import charts, places
from financial_model.ui.charts import base
from tests.ui.builders import CHINESE, ENGLISH, forecast, stocks


def names(figure):
    return [trace.name for trace in figure.data]


def test_a_rise_is_red_in_china_and_green_elsewhere():
    assert charts.rise_and_fall(CHINESE) == (charts.RED, charts.GREEN)
    assert charts.rise_and_fall(ENGLISH) == (charts.GREEN, charts.RED)
    candle = charts.candles(forecast(), CHINESE).data[0]
    assert candle.increasing.line.color == charts.RED and candle.decreasing.line.color == charts.GREEN


def test_candles_leave_no_hole_on_weekends_and_the_fan_begins_at_the_last_price():
    found = forecast()
    figure = charts.candles(found, ENGLISH)
    assert figure.layout.xaxis.type == "category"
    axis = list(figure.layout.xaxis.categoryarray)
    assert axis == sorted({*found["history"]["date"], *found["fan"]["date"]})
    fan = next(trace for trace in figure.data if trace.name == "80 %")
    assert fan.x[0] == found["as_of"] and fan.y[0] == pytest.approx(found["price"])
    assert names(figure).index("95 %") < names(figure).index("50 %"), "the widest band is drawn first, beneath the others"


def test_a_candle_under_the_pointer_speaks_the_readers_language_on_a_ground_that_suits_light_and_dark():
    figure = charts.candles(forecast(), CHINESE)
    assert figure.data[0].hovertemplate.startswith("开盘") and "成交量" in figure.data[1].hovertemplate
    assert figure.layout.hoverlabel.bgcolor and figure.layout.hoverlabel.font.color, "else the browser's white on a dark page"
    assert len(figure.layout.xaxis.tickvals) <= 6, "a phone has no room for more dates"


def test_skill_by_regime_is_summed_over_the_regimes_own_dates():
    series = {"time": [86_400 * day for day in range(6)], "rank_ic": [0.1, 0.2, None, 0.4, 0.5, 0.6], "regime": [0, 1, 0, 0, 9, 1]}
    figure = charts.regime_curves(series, CHINESE)
    assert [list(trace.y) for trace in figure.data] == [pytest.approx([0.1, 0.1, 0.5]), pytest.approx([0.2, 0.8])], "the unknown has no line"
    assert figure.data[0].name == "牛市（3 天）" and figure.data[0].x[-1] == "1970-01-04"
    assert not charts.regime_curves({"time": [0], "rank_ic": [0.1]}, CHINESE).data, "a test that was opened before regimes were kept"


def test_each_layer_of_experts_has_its_bars_beside_an_even_share():
    figure = charts.expert_bars([[0.5, 0.25, 0.25, 0.0], [0.25] * 4], ENGLISH)
    assert [list(trace.y) for trace in figure.data] == [[0.5, 0.25, 0.25, 0.0], [0.25] * 4] and figure.layout.shapes[0].y0 == 0.25


def test_later_truth_is_drawn_only_where_it_is_known():
    assert "What happened" in names(charts.candles(forecast(known=2), ENGLISH))
    assert "What happened" not in names(charts.candles(forecast(known=0), ENGLISH))


def test_a_fan_without_a_band_still_draws_the_median():
    found = forecast()
    del found["fan"]["95"], found["fan"]["50"]
    assert {"80 %", "Median forecast"} <= set(names(charts.candles(found, ENGLISH))) and "95 %" not in names(charts.candles(found, ENGLISH))


def test_the_treemap_adds_up():
    table = stocks()
    tree = charts.treemap({"finance": "金融"}, table, CHINESE).data[0]
    value = dict(zip(tree.ids, tree.values, strict=True))
    for industry, part in table.groupby("industry"):
        assert value[f"/{industry}"] == pytest.approx(part["weight"].sum())
    assert "金融" in tree.labels


def test_the_regime_ribbon_covers_each_run_of_days_once():
    regime = [0, 0, 1, 1, 1, 0, 9]
    figure = charts.regime_ribbon([f"2024-01-{day:02d}" for day in range(1, 8)], [1.0] * 7, regime, ENGLISH)
    bull, bear = figure.data[0], figure.data[1]
    assert bull.x.count(None) == 2 and bear.x.count(None) == 1
    assert bear.x[0] == "2024-01-03" and bear.x[2] == "2024-01-06"
    assert len(figure.data) == len(REGIMES) + 1


def contrast(first, second):
    """Of two colours, by the formula of WCAG 2.1, written down a second time."""
    def light(colour):
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        return sum(weight * (share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4)
                   for weight, share in zip((0.2126, 0.7152, 0.0722), shares, strict=True))

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


def test_white_letters_can_be_read_on_every_tile_and_bar():
    drawn = charts.treemap({}, stocks(), CHINESE).data[0]
    assert drawn.textfont.color == "white"
    grounds = [colour for _, colour in drawn.marker.colorscale] + [base.deep(colour) for colour in charts.PALETTE]
    assert min(contrast("#ffffff", colour) for colour in grounds) >= 4.5
    assert base.deep(charts.ACCENT) == charts.ACCENT, "what is dark enough stays"


def test_scatter_and_styles_name_their_groups():
    assert set(names(charts.risk_scatter(stocks(), CHINESE))) == {"金融", "科技", "能源", "未知"}
    bars = charts.style_bars({"size": {"mega": 0.2, "unknown": 0.8}}, CHINESE)
    assert names(bars) == ["超大盘", "未知"] and bars.data[1].marker.color == base.deep(charts.GREY)


def test_calibration_shows_classes_and_intervals():
    found = {
        "reliability": {"up": [{"predicted": 0.2, "observed": 0.25, "count": 10}]},
        "coverage": [{"level": 0.8, "covered": 0.77, "interval": None}],
    }
    figure = charts.calibration(found, ENGLISH)
    assert {"up", "50, 80, 95 % intervals"} <= set(names(figure))


def test_groups_without_a_figure_are_left_out():
    groups = {
        "finance": {"rank_ic": 0.05, "rank_ic_interval": [0.01, 0.1], "rows": 5, "names": 2},
        "energy": {"rank_ic": None, "rank_ic_interval": None, "rows": 1, "names": 1},
    }
    bar = charts.group_bars(groups, "industry", ENGLISH).data[0]
    assert list(bar.x) == ["Finance"] and bar.error_y.array[0] == pytest.approx(0.05)


@pytest.mark.parametrize("view", [ENGLISH, CHINESE])
def test_empty_data_draws_an_empty_figure_not_an_error(view):
    nothing = stocks(0)
    for figure in (
        charts.treemap({}, nothing, view),
        charts.regime_ribbon([], [], [], view),
        charts.risk_scatter(nothing, view),
        charts.style_bars({}, view),
        charts.calibration({}, view),
        charts.ic_series([], [], view),
        charts.group_bars({}, "size", view),
    ):
        json.loads(figure.to_json())


def test_long_series_are_thinned_and_keep_their_end():
    figure = charts.ic_series([86_400 * day for day in range(10_000)], [0.01] * 10_000, ENGLISH)
    assert len(figure.data[0].x) <= charts.MAX_POINTS and figure.data[0].x[-1] == "1997-05-18"
    assert figure.data[1].y[-1] == pytest.approx(100.0), "the running sum is over all days, not over those drawn"


def test_a_figure_is_as_high_as_the_room_that_is_kept_for_it():
    """What grows with its rows is given as many as it usually has."""
    found = {"industries": charts.industries([{"industry": f"{n}", "past": 0.1, "expected": 0.1} for n in range(11)], ENGLISH),
             "style_bars": charts.style_bars({name: {"unknown": 1.0} for name in ("size", "value", "volatility", "momentum")}, ENGLISH),
             "candles": charts.candles(forecast(), ENGLISH),
             "treemap": charts.treemap({}, stocks(), ENGLISH), "coverage": charts.coverage([], [], ENGLISH), "heatmap": charts.heatmap([], [], [])}
    style = places.style()
    for name, figure in found.items():
        assert figure.layout.height == charts.HEIGHTS[name]
        assert f".{places.room_for(name).elem_classes[0]} {{ min-height: {figure.layout.height + places.BORDER}px; }}" in style
