"""Words of other classifications map to our eleven industries, and unknown ones are counted."""

import pandas as pd
import pytest

from financial_model.config import INDUSTRIES
from financial_model.market.classification import INDUSTRY_OF, classify, industry_of


def test_every_target_is_one_of_ours_and_every_industry_is_reached():
    assert set(INDUSTRY_OF.values()) == set(INDUSTRIES)


@pytest.mark.parametrize(
    ("word", "industry"),
    [
        ("银行", "finance"), ("白酒", "consumer"), ("半导体", "technology"), ("中成药", "healthcare"), ("电气设备", "industrial"),
        ("普钢", "materials"), ("煤炭开采", "energy"), ("水务", "utilities"), ("全国地产", "real_estate"), ("电信运营", "telecom"),
        ("综合类", "other"), ("IT设备", "technology"), ("Information Technology", "technology"), ("consumer staples", "consumer"),
        (" Health Care ", "healthcare"), ("Communication Services", "telecom"), ("real_estate", "real_estate"), ("非银金融", "finance"),
    ],
)  # fmt: skip
def test_words_of_several_classifications(word, industry):
    assert industry_of(word) == industry


def test_unknown_words_are_counted_and_empty_ones_left_out():
    found, unknown = classify({"A": "银行", "B": "算命", "C": "算命", "D": "  "})
    assert found == {"A": "finance", "B": "other", "C": "other"} and dict(unknown) == {"算命": 2}


@pytest.mark.real
def test_the_real_lists_are_covered_completely(real_data):
    for name, column in (("a_share_industry.csv", "industry"), ("us_sectors.csv", "sector")):
        table = pd.read_csv(real_data / "labels" / name, dtype=str).dropna(subset=[column])
        found, unknown = classify(dict(zip(table["symbol"], table[column], strict=True)))
        assert not unknown, name
        assert sum(industry == "other" for industry in found.values()) < 0.05 * len(found)
