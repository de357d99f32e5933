"""The evaluation page's own tables: months of IC, groups, classes."""

import gradio as gr
import pytest

from financial_model.ui import charts, judgement
from financial_model.ui.page import Page, Services
from financial_model.ui.text import Words
from tests.ui.builders import CHINESE, ENGLISH

DAY = 86_400


def test_a_months_ic_is_the_mean_of_its_dates_and_an_undefined_date_counts_nowhere():
    series = {"time": [0, DAY, 2 * DAY, 40 * DAY], "ic": [0.1, 0.3, None, -0.1]}
    assert judgement.monthly(series) == {"1970": {"1": pytest.approx(0.2), "2": pytest.approx(-0.1)}}


def test_groups_stand_with_their_counts_and_intervals():
    groups = {"finance": {"names": 9, "rows": 1269, "ic": 0.056, "rank_ic": 0.026, "rank_ic_interval": [-0.11, 0.15], "direction": 0.54}}
    html = judgement.group_table(CHINESE, groups, "industry")
    assert "金融" in html and "1,269" in html and "[-0.110, 0.150]" in html and "54.0 %" in html
    assert judgement.group_table(CHINESE, {}, "industry") == ""


def test_classes_show_shares_of_what_happened():
    html = judgement.confusion(ENGLISH, [[20, 60, 20], [0, 10, 0], [5, 5, 0]])
    assert html.count("k-share") == 9 and "60 %" in html and "--share:0.50" in html
    assert judgement.confusion(ENGLISH, [[0, 0, 0]] * 3) == "" and judgement.confusion(ENGLISH, []) == ""


def test_five_groups_and_outcomes_are_drawn_and_an_empty_result_is_an_empty_figure():
    curves = {"time": [0, DAY], "groups": [[0.0, 0.1]] * 5}
    assert len(charts.five_groups(curves, ENGLISH).data) == 5 and not charts.five_groups({}, ENGLISH).data
    lines = charts.outcome_lines({"date": ["2024-01-02"], "predicted": [0.01], "actual": [None]}, CHINESE).data
    assert [line.name for line in lines] == ["实际", "预测"]


def test_a_model_of_another_label_shows_its_table_and_hides_the_figures_of_returns(tmp_path):
    from financial_model.serving.experiment import run_training
    from tests.serving.builders import fill_store, tiny, workspace_in

    workspace = workspace_in(tmp_path)
    fill_store(workspace)
    run = run_training(workspace, tiny("calm", target="future_volatility", epochs=1))
    services = Services(workspace)
    with gr.Blocks(), gr.Tabs(), gr.Tab() as opened:
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with page.building("inference", opened):
            view = judgement.EvaluationView(page, gr.Dropdown(choices=[run.id]))
    snapshot = services.snapshot(fresh=True)
    card, whole, *rest = view._draw(ENGLISH, snapshot, run.id, None)
    assert len(rest) + 2 == len(next(part for part in page.tabs["inference"].parts if part.name == "evaluation").outputs)
    assert "MAE" in card and "future_volatility" in card and whole["visible"] is False
    assert view._draw_groups(ENGLISH, snapshot, run.id, "industry")[1] == "" and view._draw_outcome(ENGLISH, snapshot, run.id, None)
    services.jobs.close()


def test_a_stock_of_the_test_is_found_by_code_name_and_pinyin_and_nothing_else_is():
    symbols, names = ["000001.SZ", "600519.SH"], {"600519.SH": "贵州茅台", "000001.SZ": "平安银行", "600036.SH": "招商银行"}
    assert [judgement.meant(text, symbols, names) for text in ("600519.SH", "sh600519", "贵州茅台", "gzmt")] == ["600519.SH"] * 4
    assert judgement.meant("招商银行", symbols, names) in symbols and judgement.meant(None, symbols, names) == "000001.SZ"
    assert judgement.meant("600519", [], names) is None
