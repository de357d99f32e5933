"""The backtest on the page: figures beside the benchmarks, coloured months, every trade with its costs."""

import pytest

from financial_model.errors import ConfigError
from financial_model.serving.backtesting import LIMITS, settings_from
from financial_model.ui import backtest, charts, components
from tests.ui.builders import CHINESE, ENGLISH

DAY = 86_400


def found(index=True):
    row = {"total_return": 0.1, "annual_return": 0.2, "annual_volatility": 0.1, "sharpe": 2.0, "max_drawdown": -0.04, "calmar": 5.0, "win_rate": 0.6}
    facts = {"turnover": 0.1, "cost_per_year": 0.05, "invested": 0.9, "trades": 2, "blocked": 1, "trials": 3, "days": 4}
    against = {"excess_equal_weight": 0.06, "excess_equal_weight_interval": [-0.056, 0.174], "information_ratio_equal_weight": 1.23}
    trade = {"symbol": "600000.SH", "shares": 100.0, "price": 10.0, "amount": 1000.0, "commission": 5.0, "stamp": 0.5, "transfer": 0.1, "slippage": 1}
    curve = [1.0, 1.02, 1.01, 1.1]
    return {
        "metrics": {**row, **facts, "sharpe_interval": [-0.1, 4.2], **against},
        "gross": row,
        "equal_weight": row,
        **({"index": row} if index else {}),
        "series": {"time": [DAY * i for i in range(4)], "net": curve, "gross": curve, "drawdown": [0, 0, -0.01, 0], "equal_weight": curve},
        "monthly": {"2025": {"6": 0.08, "7": -0.02}},
        "trades": [{**trade, "date": "2025-06-04", "side": "buy"}, {**trade, "date": "2025-06-05", "side": "sell"}],
        "blocked": {"buy": {"limit": 1}, "sell": {}},
        "settings": {"top": 30, "drop": 5},
        "index_name": "000300.SH",
        "test": {"first": "2025-06-03", "last": "2025-12-31"},
        "verdict": [{"key": "evaluation.backtest.st_unknown", "level": "note", "fields": {}}],
    }


def test_the_card_sets_the_portfolio_beside_its_benchmarks_with_an_interval():
    html = backtest.card(ENGLISH, found())
    assert "CSI 300" in html and "Equal weight" in html and "[-0.10, 4.20]" in html and "price limit 1" in html
    assert "+6.0 %" in html and "[-5.6, 17.4]" in html and "1.23" in html
    assert "000300.SH" not in backtest.card(ENGLISH, found(index=False)), "no index, no column"


def test_trades_come_newest_first_with_all_their_costs():
    shown = backtest.trade_rows(CHINESE, found())
    assert [row[0] for row in shown["data"]] == ["2025-06-05", "2025-06-04"] and shown["data"][0][2] == "卖出"
    assert shown["data"][0][-1] == pytest.approx(6.6) and shown["metadata"]["display_value"][0][-1] == "6.60"


def test_months_are_compounded_and_coloured_by_direction():
    html = components.months(CHINESE, "月", found()["monthly"])
    assert "--k-up" in html and "--k-down" in html and "5.8" in html and "k-red-up" in html


def test_the_equity_figure_has_the_curves_there_are():
    names = [trace.name for trace in charts.equity(found(), ENGLISH).data]
    assert names[:3] == ["After costs", "Before costs", "Equal weight"] and "000300.SH" not in names


def test_every_field_of_the_form_is_a_setting_within_its_limits():
    chosen = settings_from({name: value / scale for name, value, scale in backtest.FIELDS} | {"official": False})
    assert (chosen.top, chosen.drop, chosen.costs.commission, chosen.costs.official) == (30, 5, 0.00025, False)
    for name, (low, high) in LIMITS.items():
        with pytest.raises(ConfigError):
            settings_from({name: high + 1})
        with pytest.raises(ConfigError):
            settings_from({name: low - 1})
    with pytest.raises(ConfigError):
        settings_from({"leverage": 3})
