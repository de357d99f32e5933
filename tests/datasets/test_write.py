"""Writing a panel: what is derived from bars, causally, and all or nothing on disk."""

import errno

import numpy as np
import pytest

from financial_model.datasets import write
from financial_model.datasets.panel import open_panel
from financial_model.datasets.row_facts import AMOUNT_BARS, tradable_flags, trailing_amount, trailing_volatility, volatility_scale
from financial_model.errors import DataError, StorageError
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES
from tests.datasets.builders import DAY, FIRST, make_bars, make_panel


class TestVolatility:
    def test_is_the_deviation_of_the_last_21_returns(self):
        bars = make_bars((60,))
        log_close = np.log(bars.close)
        volatility = trailing_volatility(log_close, bars.offsets)
        for row in (21, 40, 59):
            np.testing.assert_allclose(volatility[row], np.diff(log_close)[row - 21:row].std(ddof=1), rtol=1e-6)

    def test_does_not_know_the_future_bit_for_bit(self):
        bars = make_bars((60, 40))
        log_close = np.log(bars.close)
        whole = trailing_volatility(log_close, bars.offsets)
        for cut in (1, 6, 22, 45):
            np.testing.assert_array_equal(trailing_volatility(log_close[:cut].copy(), np.array([0, cut])), whole[:cut])

    def test_does_not_look_into_the_stock_before(self):
        bars = make_bars((60, 40))
        log_close = np.log(bars.close)
        alone = trailing_volatility(log_close[60:].copy(), np.array([0, 40]))
        np.testing.assert_array_equal(trailing_volatility(log_close, bars.offsets)[60:], alone)

    def test_has_a_floor_and_a_beginning(self):
        volatility = trailing_volatility(np.zeros(30), np.array([0, 30]))
        np.testing.assert_allclose(volatility[:5], 0.02)
        np.testing.assert_allclose(volatility[5:], 0.002)


    def test_of_minutes_is_measured_in_minutes(self):
        daily, minutes = np.arange(30) * 86_400, np.arange(30) * 60
        offsets = np.array([0, 30])
        assert volatility_scale(daily, offsets) == 1.0, "daily bars stay bit for bit what they were"
        scale = volatility_scale(minutes, offsets)
        assert scale == pytest.approx((1 / 1440) ** 0.5)
        log_close = 4e-4 * np.random.default_rng(0).standard_normal(30).cumsum()
        quiet = trailing_volatility(log_close, offsets, scale)
        assert 0.002 * scale < quiet[25] < 0.002, "the daily floor would hide what a minute does"


class TestAmount:
    def test_is_the_mean_of_what_is_known_of_the_last_bars_of_the_stock(self):
        random = np.random.default_rng(2)
        amount, close, volume = random.uniform(1e6, 2e6, 90), random.uniform(10, 20, 90), random.uniform(1e5, 2e5, 90)
        amount[random.random(90) < 0.4] = np.nan  # the source named none
        volume[random.random(90) < 0.2] = np.nan
        money = np.where(np.isnan(amount), close * volume, amount)
        found = trailing_amount(amount, close, volume, np.array([0, 55, 90]))
        for row in (0, 3, 19, 54, 55, 60, 89):
            part = money[max(0 if row < 55 else 55, row + 1 - AMOUNT_BARS) : row + 1]
            np.testing.assert_allclose(found[row], np.nanmean(part) if np.isfinite(part).any() else np.nan, rtol=1e-6)
        np.testing.assert_array_equal(trailing_amount(amount[:40], close[:40], volume[:40], np.array([0, 40])), found[:40])

    def test_where_nothing_is_known_there_is_no_figure(self):
        nothing = np.full(3, np.nan)
        assert np.isnan(trailing_amount(nothing, np.ones(3), nothing, np.array([0, 3]))).all()


class TestTradable:
    def flags(self, symbol, opens, closes, **changes):
        bars = make_bars((len(opens),), symbols=(symbol,))
        bars.open[:], bars.close[:] = opens, closes
        bars.time[:] = FIRST + DAY * (2000 + np.arange(len(opens)))  # 2025: rules of today
        for name, value in changes.items():
            getattr(bars, name)[:] = value
        return tradable_flags(bars).tolist()

    def test_no_volume_or_a_suspension_is_not_tradable(self):
        assert self.flags("AAPL", [10] * 3, [10] * 3, volume=[1, 0, 5]) == [TRADES, 0, TRADES]
        bars = make_bars((3,))
        bars.extra["tradable"] = np.array([1.0, 0.0, np.nan])
        assert tradable_flags(bars).tolist() == [TRADES, 0, TRADES]

    def test_opens_at_the_limit_of_its_board(self):
        opens = [10, 10, 10, 10, 10, 10, 11, 9, 10.99]  # after five free days of a new listing
        assert self.flags("600519.SH", opens, [10] * 9)[6:] == [TRADES | OPENS_AT_LIMIT_UP, TRADES | OPENS_AT_LIMIT_DOWN, TRADES]
        assert self.flags("300750.SZ", opens, [10] * 9)[6:] == [TRADES] * 3, "ChiNext moves 20 %"
        assert self.flags("AAPL", opens, [10] * 9)[6:] == [TRADES] * 3, "no limit in the US"

    def test_special_treatment_narrows_the_limit_on_the_days_the_source_marks(self):
        """5 % for ST on the main board, on those days alone; unknown days count as ordinary ones."""
        bars = make_bars((9,), symbols=("600519.SH",))
        bars.open[:], bars.close[:] = [10] * 6 + [10.5, 9.5, 10.5], 10
        bars.time[:] = FIRST + DAY * (2000 + np.arange(9))
        assert tradable_flags(bars)[6:].tolist() == [TRADES] * 3
        bars.extra["is_st"] = np.array([0.0] * 6 + [1, 1, np.nan])
        assert tradable_flags(bars)[6:].tolist() == [TRADES | OPENS_AT_LIMIT_UP, TRADES | OPENS_AT_LIMIT_DOWN, TRADES]

    def test_limit_follows_the_ex_reference_price(self):
        opens, closes, factor = [10.0] * 7 + [5.5], [10.0] * 7 + [5.5], [1.0] * 7 + [2.0]
        assert self.flags("600519.SH", opens, closes, factor=factor)[-1] == TRADES | OPENS_AT_LIMIT_UP

    def test_a_new_listing_has_no_limit(self):
        assert self.flags("688981.SH", [10, 30], [10, 30]) == [TRADES, TRADES]


class TestOracle:
    def truth(self, tmp_path, symbols, days):
        expected = np.arange(len(days) * len(symbols) * 10, dtype=np.float32).reshape(len(days), len(symbols), 10)
        np.savez(tmp_path / "truth.npz", symbols=np.array(symbols), time=np.array(days, np.int64), expected=expected)
        return tmp_path / "truth.npz", expected

    def test_is_found_by_symbol_and_date(self, tmp_path):
        bars = make_bars((5, 3), symbols=("B", "A"))
        path, expected = self.truth(tmp_path, ("A", "B"), [FIRST + DAY * i for i in (0, 1, 3, 4)])
        panel = make_panel(tmp_path, bars, truth=path)
        np.testing.assert_array_equal(panel.oracle[0], expected[0, 1])  # B on the first day
        np.testing.assert_array_equal(panel.oracle[5 + 1], expected[2, 0])  # A on the fourth
        assert np.isnan(panel.oracle[2]).all() and np.isnan(panel.oracle[5]).all(), "a day the truth does not know"

    def test_unknown_stocks_and_later_days_have_none(self, tmp_path):
        path, _ = self.truth(tmp_path, ("X",), [FIRST])
        assert np.isnan(make_panel(tmp_path, make_bars((5,)), truth=path).oracle).all()
        path, _ = self.truth(tmp_path, ("S0",), [FIRST])
        assert np.isnan(make_panel(tmp_path, make_bars((5,)), truth=path).oracle[1:]).all()

    def test_a_broken_file_is_named(self, tmp_path):
        (tmp_path / "truth.npz").write_bytes(b"PK broken")
        with pytest.raises(DataError, match="truth.npz"):
            make_panel(tmp_path, truth=tmp_path / "truth.npz")


def test_missing_features_are_zero_and_invalid(tmp_path):
    panel = make_panel(tmp_path, warm_up=4)
    assert panel.valid[:6].tolist() == [0, 0, 0, 0, 1, 1] and (panel.values[:4, 0] == 0).all()
    assert np.isfinite(panel.values).all() and (panel.values[:4, 1] != 0).all()


def test_kept_rows_keep_what_was_computed_with_the_rows_before(tmp_path):
    bars = make_bars((80, 50, 65))
    whole = make_panel(tmp_path / "whole", bars)
    keep = (bars.time >= FIRST + 40 * DAY) & (np.arange(195) < 130)  # from day 40, and without the third stock
    part = make_panel(tmp_path / "part", bars, keep=keep)
    assert part.symbols == ("S0", "S1") and part.offsets.tolist() == [0, 40, 80]
    for name in ("values", "volatility", "prices", "time", "valid", "conditions", "ranks", "tradable"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[keep])
    assert part.market_time[0] == FIRST + 40 * DAY and len(part.market_close) == 40


@pytest.mark.parametrize(("name", "value"), [("close", 0.0), ("open", np.nan), ("factor", -1.0)])
def test_an_impossible_price_is_named(tmp_path, name, value):
    bars = make_bars()
    getattr(bars, name)[85] = value
    with pytest.raises(DataError, match="S1 on 2020-02-05"):
        make_panel(tmp_path, bars)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_panel_is_replaced(tmp_path):
    panel = make_panel(tmp_path)
    (panel.path / "values.npy").write_bytes(b"x")
    assert make_panel(tmp_path).rows == 195
    assert [path.name for path in tmp_path.iterdir()] == ["panel"]


def test_a_full_disk_leaves_the_old_panel_and_no_rest(tmp_path, monkeypatch):
    before = make_panel(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "_save_values", full)
    with pytest.raises(StorageError, match="disk is full"):
        make_panel(tmp_path, make_bars((20,)))
    assert [path.name for path in tmp_path.iterdir()] == ["panel"]
    assert open_panel(before.path).rows == 195


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    panel = make_panel(tmp_path)
    for pid in (11, 12):
        (tmp_path / f".panel.{pid}.tmp").mkdir()
    write.discard(panel.path, 11)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".panel.12.tmp", "panel"]
