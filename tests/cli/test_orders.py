"""``orders``: a list a person can act on, and the same as JSON and as CSV."""

import csv

import pytest


def test_orders_for_the_next_session(demo, tmp_path):
    pool = demo("rank", "first", "--top", "0", "--json").data["stocks"]
    table = tmp_path / "held.csv"
    table.write_text(f"代码,数量,买入日期\n{pool[-1]['symbol']},500,2025-12-01\n{pool[1]['symbol']},300,\n", "utf-8")
    out = tmp_path / "orders.csv"
    ask = ["orders", "first", "--holdings", str(table), "--cash", "200000", "--top", "5", "--drop", "3"]
    found = demo(*ask, "--csv", str(out), "--json").data
    assert found["trade_date"] > found["as_of"] and found["orders"][0]["symbol"] == pool[-1]["symbol"]
    assert [order["symbol"] for order in found["orders"][1:]] == [pool[place]["symbol"] for place in (0, 2, 3, 4)][:len(found["orders"]) - 1]
    assert isinstance(found["orders"][0]["why"], str) and found["kept"][0]["symbol"] == pool[1]["symbol"]
    with out.open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["symbol"] for row in rows] == [order["symbol"] for order in found["orders"]]
    text = demo(*ask, "--language", "zh").out
    assert "卖出" in text and "委托清单" in text and "现金" in text


@pytest.mark.parametrize(("arguments", "word"), [
    ([], "capital"), (["--capital", "1e6", "--holdings", "absent.csv"], "absent.csv"), (["--cash", "1000", "--slippage", "-1"], "slippage"),
    (["--cash", "1000", "--top", "0"], "top"),
])
def test_what_is_wrong_is_said_in_one_line(demo, arguments, word):
    assert word in demo.refuses("orders", "first", *arguments)
