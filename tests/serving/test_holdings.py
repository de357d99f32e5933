"""Holdings as people write them: their own headers, GBK, codes without zeros, and a clear word for what is wrong."""

import numpy as np
import pytest

from financial_model.errors import DataError, NotFoundError
from financial_model.serving.holdings import parse_holdings, read_holdings, typed_holdings


def test_a_plain_file():
    (found,) = parse_holdings("symbol,shares,cost,bought\n600519,100,1500.5,2024-05-06\n")
    assert (found.symbol, found.shares, found.cost, str(found.bought)) == ("600519.SH", 100.0, 1500.5, "2024-05-06")


def test_a_brokers_export_in_gbk(tmp_path):
    path = tmp_path / "持仓.csv"
    path.write_bytes("证券代码,证券名称,股票余额,成本价\n'000001,平安银行,\"1,200\",10.2\n1,平安银行,300,11.2\n\n300750,宁德时代,0,1\n".encode("gb18030"))
    (found,) = read_holdings(path)
    assert found.symbol == "000001.SZ" and found.shares == 1500 and found.cost == pytest.approx(10.4) and found.bought is None


def test_the_newest_purchase_binds_the_whole():
    (found,) = parse_holdings("code,qty,date\nAAPL,5,2024/5/6\naapl,5,20240510\n")
    assert found.shares == 10 and found.bought == np.datetime64("2024-05-10")


def test_a_typed_table_leaves_out_its_empty_rows():
    found = typed_holdings([["600519", 100, None, ""], ["", "", "", ""], [None, None, None, None], ["AAPL", "3", float("nan"), "2024-01-02"]])
    assert [(item.symbol, item.shares, item.cost) for item in found] == [("600519.SH", 100.0, None), ("AAPL", 3.0, None)]


@pytest.mark.parametrize(("text", "key", "fields"), [
    ("name,shares\nx,1\n", "orders.no_column", {"column": "symbol"}),
    ("symbol,name\n600519,x\n", "orders.no_column", {"column": "shares"}),
    ("symbol,shares\n\n=cmd|' /C calc',1\n", "orders.bad_symbol", {"line": 3}),
    ("symbol,shares\n600519,-5\n", "orders.bad_number", {"line": 2, "value": "-5"}),
    ("symbol,shares\n600519,\n", "orders.bad_number", {"value": ""}),
    ("symbol,shares\n600519,1e400\n", "orders.bad_number", {"value": "1e400"}),
    ("symbol,shares,bought\n600519,1,yesterday\n", "orders.bad_date", {"value": "yesterday"}),
    ("symbol,shares,bought\n600519,1,2024-13-40\n", "orders.bad_date", {"value": "2024-13-40"}),
])
def test_what_cannot_be_understood_is_named_with_its_line(text, key, fields):
    with pytest.raises(DataError) as caught:
        parse_holdings(text, "h.csv")
    assert caught.value.key == key and fields.items() <= caught.value.fields.items()


def test_an_empty_table_holds_nothing():
    assert parse_holdings("") == [] and parse_holdings("symbol,shares\n") == [] and typed_holdings([]) == []


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(NotFoundError):
        read_holdings(tmp_path / "absent.csv")
    (tmp_path / "x.csv").write_bytes(b"\x89PNG\xff\xff\x00\xff")
    with pytest.raises(DataError):
        read_holdings(tmp_path / "x.csv")
