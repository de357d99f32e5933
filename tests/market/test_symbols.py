"""Every way people write a code leads to one symbol; a search finds codes, names and initials."""

import pytest

from financial_model.errors import DataError
from financial_model.market.symbols import Symbol, board, index_by_name, kind, parse_symbol, pinyin_initials, search


@pytest.mark.parametrize(
    "text", ["600519", "sh600519", "SH600519", "600519.SH", "600519.SS", "600519.ss", " 600519 ", "600519.XSHG", "SH.600519", "６００５１９"]
)
def test_one_stock_in_every_spelling(text):
    assert parse_symbol(text) == Symbol("600519", "SH")
    assert str(parse_symbol(text)) == "600519.SH"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("000001", "000001.SZ"),
        ("000001.SH", "000001.SH"),
        ("300750", "300750.SZ"),
        ("688981", "688981.SH"),
        ("920001", "920001.BJ"),
        ("000300.SH", "000300.SH"),
        ("399006", "399006.SZ"),
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        ("BRK-B", "BRK-B"),
        ("BRK.B", "BRK-B"),
        ("AAPL.US", "AAPL"),
        ("^GSPC", "^GSPC"),
        ("0700.HK", "0700.HK"),
    ],
)
def test_codes_and_tickers(text, expected):
    assert str(parse_symbol(text)) == expected
    assert parse_symbol(parse_symbol(expected)) == parse_symbol(expected)


@pytest.mark.parametrize("text", ["", "12345", "1234567", "700001", "sh600519.SZ", "600519.XX", "../etc", "A B", "茅台", "AAPL;", "^"])
def test_what_is_no_code_is_refused_by_name(text):
    with pytest.raises(DataError) as caught:
        parse_symbol(text)
    assert caught.value.key == "symbols.unknown"
    assert text[:10] in str(caught.value)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("600519.SH", "main"),
        ("605001.SH", "main"),
        ("002594.SZ", "main"),
        ("300750.SZ", "chinext"),
        ("301001.SZ", "chinext"),
        ("688981.SH", "star"),
        ("920001.BJ", "bse"),
        ("830799.BJ", "bse"),
        ("000001.SH", "index"),
        ("399001.SZ", "index"),
        ("899050.BJ", "index"),
        ("510300.SH", "fund"),
        ("159915.SZ", "fund"),
        ("900901.SH", "other"),
        ("200002.SZ", "other"),
        ("AAPL", "us"),
        ("^GSPC", "index"),
    ],
)
def test_boards(symbol, expected):
    assert board(symbol) == expected
    assert kind(symbol) == ("index" if expected == "index" else "stock")


def test_the_bank_and_the_composite_share_digits_only():
    assert board("000001") == "main"
    assert board("000001.SH") == "index"
    assert str(index_by_name("000300", "沪深300")) == "000300.SH"
    assert index_by_name("000016", "深康佳A") is None


NAMES = {
    "600519.SH": "贵州茅台",
    "000001.SZ": "平安银行",
    "601318.SH": "中国平安",
    "AAPL": "Apple Inc.",
    "600036.SH": "招商银行",
    "000002.SZ": "万科A",
}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("600519", "600519.SH"),
        ("sh600519", "600519.SH"),
        ("茅台", "600519.SH"),
        ("gzmt", "600519.SH"),
        ("GZMT", "600519.SH"),
        ("payh", "000001.SZ"),
        ("平安", "000001.SZ"),
        ("apple", "AAPL"),
        ("AAPL", "AAPL"),
        ("zsyh", "600036.SH"),
        ("wka", "000002.SZ"),
        ("6005", "600519.SH"),
    ],
)
def test_search_by_code_name_and_initials(text, first):
    assert search(text, NAMES)[0] == first


def test_search_finds_all_that_fit_and_nothing_else():
    assert set(search("平安", NAMES)) == {"000001.SZ", "601318.SH"}
    assert search("银行", NAMES, limit=1) and len(search("银行", NAMES, limit=1)) == 1
    assert search("nothing like it", NAMES) == []
    assert search("  ", NAMES) == []


def test_initials_of_words_read_in_context():
    assert pinyin_initials("平安银行") == "payh"
    assert pinyin_initials("*ST中安") == "stza"
