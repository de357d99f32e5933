"""Which stock a file is about, by its name alone."""

from pathlib import Path

import pytest

from financial_model.errors import DataError
from financial_model.market.sources.naming import file_symbol, row_symbol


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("600519.csv", "600519.SH"),
        ("sh600519.csv", "600519.SH"),
        ("SZ000001.csv", "000001.SZ"),
        ("000300.SH_5min.csv", "000300.SH"),
        ("processed_600519.xlsx", "600519.SH"),
        ("600519_20200101_20241231.csv", "600519.SH"),
        ("mixed_adjustment_000001.csv", "000001.SZ"),
        ("600519.SS.csv", "600519.SH"),
        ("AAPL.csv", "AAPL"),
        ("aapl.us.txt", "AAPL"),
        ("BRK-B.csv", "BRK-B"),
        ("SPY_1min.csv", "SPY"),
        ("DOGEUSDT_1min.csv", "DOGEUSDT"),
        ("SP500_arch.csv", "^GSPC"),
        ("^GSPC.csv", "^GSPC"),
        ("DATA.csv", "DATA"),
    ],
)
def test_the_symbol_in_a_file_name(name, symbol):
    assert file_symbol(Path("folder") / name) == symbol


@pytest.mark.parametrize("name", ["data.csv", "prices.csv", "my export.csv", "20240131.csv", "2024.csv", "行情.csv", "_.csv"])
def test_names_without_a_symbol(name):
    with pytest.raises(DataError) as caught:
        file_symbol(Path(name))
    assert caught.value.key in ("import.no_symbol", "symbols.unknown") and caught.value.fields


@pytest.mark.parametrize(
    ("written", "name", "symbol"),
    [
        ("1", "", "000001.SZ"),
        ("'000300", "沪深300", "000300.SH"),
        ("000001", "上证指数", "000001.SH"),
        ("000001", "平安银行", "000001.SZ"),
        ('="600519"', "", "600519.SH"),
        ("aapl", "", "AAPL"),
    ],
)
def test_the_symbol_in_a_row(written, name, symbol):
    assert row_symbol(written, name) == symbol


def test_what_is_no_code_is_refused_or_handed_back():
    with pytest.raises(DataError):
        row_symbol("what?")
    assert row_symbol("what?", strict=False) == "what?"
