"""Batches that hold dates: whole or sampled, repeatable, and every epoch as long as the others."""

import numpy as np
import pytest

from financial_model.datasets.dates import DateBatches

DATES = np.repeat(np.arange(10), [4, 4, 4, 1, 4, 4, 2, 4, 4, 4])[np.random.default_rng(0).permutation(35)]


def batches(dealt, epoch=0):
    places, edges = dealt.plan(epoch)
    assert edges[0] == 0 and edges[-1] == len(places) and (np.diff(edges) > 0).all() and len(edges) == dealt.batches + 1
    parts = [places[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    assert max(map(len, parts)) <= dealt.largest
    return parts


def test_without_shuffle_whole_dates_in_order():
    parts = batches(DateBatches(DATES, 9, shuffle=False, seed=0))
    assert [sorted(set(DATES[part].tolist())) for part in parts] == [[0, 1], [2, 3, 4], [5, 6], [7, 8], [9]]
    assert sorted(np.concatenate(parts).tolist()) == list(range(35))


def test_a_date_larger_than_a_batch_is_a_batch_of_its_own():
    parts = batches(DateBatches(DATES, 2, shuffle=False, seed=0))
    assert all(len(set(DATES[part].tolist())) == 1 for part in parts) and len(np.concatenate(parts)) == 35


def test_shuffled_batches_hold_whole_dates_in_another_order_each_epoch():
    dealt = DateBatches(DATES, 9, shuffle=True, seed=1)
    first, second = batches(dealt, 0), batches(dealt, 1)
    for parts in (first, second):
        assert len(parts) == 5 and all(len(set(DATES[part].tolist())) == 2 for part in parts)
        assert sorted(np.concatenate(parts).tolist()) == list(range(35))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert all(np.array_equal(a, b) for a, b in zip(first, batches(DateBatches(DATES, 9, shuffle=True, seed=1), 0), strict=True))


def test_a_date_too_large_for_its_share_is_a_sample_of_itself():
    dates = np.repeat([0, 1, 2], [100, 100, 3])
    dealt = DateBatches(dates, 10, shuffle=True, seed=0)
    seen = set()
    for epoch in range(200):
        parts = batches(dealt, epoch)
        assert sorted(len(part) for part in parts) == [3, 10, 10]
        assert all(len(set(part.tolist())) == len(part) and len(set(dates[part])) == 1 for part in parts)
        seen |= set(np.concatenate(parts).tolist())
    assert seen == set(range(203))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_limit_draws_dates_and_keeps_the_number_of_batches(shuffle):
    dates = np.repeat(np.arange(50), 6)
    dealt = DateBatches(dates, 12, shuffle=shuffle, seed=3, limit=60)
    epochs = [np.concatenate(batches(dealt, epoch)) for epoch in range(4)]
    assert {len(places) for places in epochs} == {60} and dealt.batches == 5
    assert len({tuple(sorted(set(dates[places].tolist()))) for places in epochs}) == (4 if shuffle else 1)
