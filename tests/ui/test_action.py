"""Orders and journal on the page: money, reasons and lateness in words, and nothing from outside that could be markup."""

import pytest

from financial_model.errors import ConfigError, DataError
from financial_model.ui import journal, orders
from tests.ui.builders import CHINESE, ENGLISH

ORDER = {"side": "sell", "symbol": "600519.SH", "name": "<b>贵州茅台", "shares": 100, "price": 1500.0, "amount": 150_000.0, "costs": 120.5,
         "limit_low": 1350.0, "limit_high": 1650.0,
         "why": {"key": "orders.why_no_forecast", "fields": {}}, "warnings": [{"key": "orders.warn_limit_down", "fields": {}}]}
BLOCKED = {"side": "buy", "symbol": "000001.SZ", "name": "", "why": {"key": "orders.blocked_suspended", "fields": {}}}
FOUND = {"trade_date": "2024-07-01", "as_of": "2024-06-28", "considered": 8, "orders": [ORDER], "blocked": [BLOCKED], "kept": [],
         "notes": [{"key": "orders.note_nothing", "fields": {}}], "cash_before": 1.0, "cash_after": 149_880.5, "sold": 150_000.0, "bought": 0.0,
         "costs": 120.5, "worth": 150_001.0}
ENTRY = {"number": 3, "published": "2024-06-28T12:00:00+00:00", "as_of": "2024-06-28", "symbol": "", "days": 5, "stocks": 300, "late": 2,
         "hash": "ab" * 32}


def test_the_card_tells_orders_obstacles_and_money():
    html = orders.order_card(CHINESE, FOUND)
    assert "卖出" in html and "停牌" in html and "149,880.50" in html and "跌停" in html and "<b>贵州茅台" not in html
    empty = orders.order_card(ENGLISH, {**FOUND, "orders": [], "blocked": []})
    assert "Nothing to do" in empty and "<table" not in empty


def test_headers_follow_the_language_and_rows_stay():
    shown = orders._table(ENGLISH, [["600519.SH", 100.0, None, ""]])
    assert shown["headers"][0] == "Symbol" and shown["data"][0][0] == "600519.SH" and len(shown["data"]) == orders.ROWS
    assert orders._table(CHINESE, [])["headers"][1] == "股数"


def test_the_record_says_what_came_late():
    html = journal.entry_list(ENGLISH, [ENTRY, {**ENTRY, "late": 0}], {"entries": 2, "head": "cd" * 32})
    assert "2 session(s) late" in html and "in time" in html and "abababab" in html and "cdcdcdcd" in html


def test_a_group_without_an_outcome_says_that_it_waits():
    group = {"run": "r", "days": 5, "published": 1, "waiting": 1, "late": 0, "track": None, "paper": None}
    assert "No outcome is known yet" in journal.group_card(ENGLISH, group)


def test_scores_stand_beside_the_naive_rules():
    figures = {"rank_ic": 0.03, "rank_ic_interval": [0.01, 0.05], "direction": 0.52}
    track = {**figures, "baselines": {"zero": {"mae_percent": 2.0}, "reversal_5": figures}, "months": [{"month": "2024-06", "dates": 20, **figures}],
             "notes": [{"key": "journal.few_dates", "level": "none", "fields": {"dates": 3}}]}
    group = {"run": "r", "days": 5, "published": 9, "waiting": 1, "late": 1, "track": track, "paper": None}
    html = journal.group_card(CHINESE, group)
    assert "[0.010, 0.050]" in html and "零收益" in html and "2024-06" in html and "逾期" in html


def test_the_view_refuses_what_was_not_uploaded(workspace, tmp_path, monkeypatch):
    from financial_model.ui.page import Services
    services = Services(workspace)
    page = type("P", (), {"services": services})()
    view = object.__new__(orders.OrdersView)
    view.page = page
    (tmp_path / "secret.csv").write_text("symbol,shares\n600519,1\n")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    with pytest.raises(DataError):
        view._read(ENGLISH, str(tmp_path / "secret.csv"))
    with pytest.raises(ConfigError):  # no run to ask
        view._ask(ENGLISH, None, [], "cash", 1000.0, 10, 5)
    with pytest.raises(ConfigError):
        view._ask(ENGLISH, None, [], "cash", None, 10, 5)
    services.jobs.close()
