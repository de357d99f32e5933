"""Scale on paper: the document says what the script computes, and the bytes are those of a real panel."""

import pytest

from benchmarks import scale
from benchmarks.synthetic import make_panel


def test_the_document_holds_the_tables_of_the_script():
    text = scale.DOCUMENT.read_text("utf-8")
    assert text.partition(scale.BEGIN)[2].partition(scale.END)[0].strip() == scale.tables()


def test_a_row_has_the_bytes_of_a_real_panel(tmp_path):
    small, large = (make_panel(tmp_path, stocks=stocks, days=100, features=scale.FEATURES) for stocks in (2, 4))
    sizes = [sum(path.stat().st_size for path in panel.path.glob("*.npy")) for panel in (small, large)]
    assert sizes[1] - sizes[0] == pytest.approx(200 * (4 * scale.FEATURES + scale.FIXED_BYTES), rel=0.01)


def test_a_bar_has_the_bytes_of_a_real_file(workspace):
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store

    store = Store(workspace.data_dir)
    write_demo(store, stocks=10, years=2)
    files = list(workspace.data_dir.rglob("*.csv"))
    rows = sum(len(path.read_bytes().splitlines()) - 1 for path in files)
    assert sum(path.stat().st_size for path in files) / rows == pytest.approx(scale.value("bar_bytes"), rel=0.1)


def test_more_bars_cost_more_of_everything():
    daily, minutes, many = (scale.figures(market) for market in scale.MARKETS)
    assert daily["panel on one card"].startswith("whole") and minutes["panel on one card"].startswith("no")
    assert list(daily) != list(minutes) and len(daily) == len(minutes) == len(many)


@pytest.mark.parametrize("seconds, text", [(0.5, "0.5 s"), (119, "119 s"), (120, "2 minutes"), (9_000, "2.5 hours"), (200_000, "2.31 days")])
def test_times_are_read_by_people(seconds, text):
    assert scale.duration(seconds) == text
