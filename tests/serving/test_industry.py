"""Industries, past against forecast: equal weights, the highest expectation first, nothing invented for what is unknown."""

import numpy as np
import pandas as pd
import pytest

from financial_model.serving.industry import industry_table


def pool():
    return pd.DataFrame(
        {
            "symbol": ["A", "B", "C"], "name": ["", "乙", "丙"], "industry": ["energy", "finance", "finance"],
            "past_return": [np.log(1.1), np.log(0.9), np.nan], "expected_return": [np.log(1.01), np.log(1.04), np.log(0.98)], "p_up": [0.5, 0.6, 0.4],
        }
    )


def test_every_stock_counts_the_same_and_the_highest_expectation_comes_first():
    first, second = industry_table(pool())
    assert (first["industry"], first["stocks"]) == ("energy", 1) and second["industry"] == "finance"
    assert second["expected"] == pytest.approx(0.01) and second["p_up"] == pytest.approx(0.5) and second["rising"] == 0.5
    assert (second["best"], second["best_name"]) == ("B", "乙") and second["best_expected"] == pytest.approx(0.04)


def test_a_stock_too_young_for_a_past_does_not_count_in_it():
    table = {row["industry"]: row for row in industry_table(pool())}
    assert table["finance"]["past"] == pytest.approx(-0.1) and table["energy"]["past"] == pytest.approx(0.1)
    assert industry_table(pool().assign(past_return=np.nan))[0]["past"] is None
