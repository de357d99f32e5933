"""Headers in two languages mean what they say; what nobody named stays under its own name."""

import pytest

from financial_model.market.sources.columns import map_columns, recognised


@pytest.mark.parametrize(
    "headers",
    [
        ["date", "open", "high", "low", "close", "volume"],
        ["Date", "Open", "High", "Low", "Close", "Volume"],
        ["日期", "开盘", "最高", "最低", "收盘", "成交量"],
        ["交易日期", "开盘价", "最高价", "最低价", "收盘价", "成交量"],
        ["trade_date", "OPEN", "HIGH", "LOW", "CLOSE", "VOL"],
        ["time", "start", "max", "min", "end", "volume"],
        ["\ufeffdate", " open", "high ", "low", "close", "Volume"],
    ],
)
def test_the_six_columns_in_every_dress(headers):
    found = map_columns(headers)
    assert [found.fields[name] for name in ("date", "open", "high", "low", "close", "volume")] == headers
    assert not found.extra and not found.ignored


def test_chinese_extras_get_our_names():
    found = map_columns(["日期", "股票代码", "名称", "收盘价", "前收盘", "换手率", "成交金额", "总市值", "流通市值", "振幅", "涨跌幅", "涨跌额"])
    assert set(found.fields) == {
        "date",
        "symbol",
        "name",
        "close",
        "preclose",
        "turnover",
        "amount",
        "market_cap",
        "float_market_cap",
        "amplitude",
        "change_percent",
        "change",
    }


def test_vendor_columns():
    found = map_columns("date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,pctChg,peTTM,pbMRQ,psTTM,isST".split(","))
    assert {"adjust_flag", "turnover", "trade_status", "change_percent", "pe", "pb", "ps", "is_st"} <= set(found.fields)
    assert map_columns(["Date", "Open", "Adj Close"]).fields["adj_close"] == "Adj Close"
    assert map_columns(["turnover_pct", "pb_mrq", "pe_ttm"]).fields == {"turnover": "turnover_pct", "pb": "pb_mrq", "pe": "pe_ttm"}


def test_units_in_headers():
    assert map_columns(["成交量(手)", "成交额（万元）"]).scales == {"volume": 100.0, "amount": 1e4}
    assert map_columns(["成交量(股)", "成交额(元)"]).scales == {"volume": 1.0, "amount": 1.0}


def test_repeats_indexes_and_strangers():
    found = map_columns(["Unnamed: 0", "date", "volume", "volume.1", "MA5", "My Factor!", "tradable"])
    assert found.repeats == {"volume": "volume.1"} and found.ignored == ("Unnamed: 0",)
    assert found.extra == {"ma5": "MA5", "my_factor": "My Factor!", "tradable_": "tradable"}


def test_date_and_time_of_day_stay_apart():
    assert map_columns(["date", "time", "close"]).fields["time"] == "time"
    assert "time" not in map_columns(["time", "close"]).fields


def test_a_choice_wins_over_recognition():
    found = map_columns(["date", "open", "close", "my_close", "volume"], {"close": "my_close", "volume": ""})
    assert found.fields["close"] == "my_close" and "volume" not in found.fields
    assert "close" not in found.extra.values() or found.extra["close_"] == "close"


def test_a_header_row_is_known_by_what_it_names():
    assert recognised(["日期", "开盘", "hello"]) == 2 and recognised(["600519", "1.5"]) == 0
