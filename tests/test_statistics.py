"""Intervals of paired differences."""

import math

import numpy as np
import pytest
from altfreeze.statistics import mean_difference, median_interval, verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

samples = st.lists(st.lists(st.floats(-1, 1), min_size=5, max_size=8), min_size=1, max_size=4)


def interval(differences, seed=0):
    return mean_difference([np.array(values) for values in differences], np.random.default_rng(seed))


@settings(max_examples=15, deadline=None)
@given(samples)
def test_the_estimate_is_the_mean_of_means_inside_of_its_interval_and_turns_with_the_sign(differences):
    found = interval(differences)
    assert found.estimate == pytest.approx(np.mean([np.mean(values) for values in differences]), abs=1e-12)
    assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12
    turned = interval([[-value for value in values] for values in differences])
    assert turned.estimate == pytest.approx(-found.estimate, abs=1e-12)
    assert turned.low == pytest.approx(-found.high, abs=0.05)


@pytest.mark.parametrize("pairs", [5, 10])
def test_the_interval_covers_the_truth_as_often_as_it_says(pairs):
    generator = np.random.default_rng(7)
    found = [interval([generator.normal(size=pairs)], seed) for seed in range(400)]
    covered = sum(low <= 0 <= high for _, low, high in found)
    # below five pairs the range of the means of resamples is too narrow for any level
    assert covered >= 400 * {5: 0.88, 10: 0.92}[pairs]


def test_a_constant_difference_is_certain():
    assert interval([[0.25] * 5, [0.75] * 6]) == (0.5, 0.5, 0.5)


def test_with_fewer_than_five_pairs_there_is_an_estimate_but_no_interval():
    found = interval([[0.5] * 4, [0.1, 0.3] * 3])
    assert found.estimate == pytest.approx(0.35)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_without_a_pair_there_is_no_estimate():
    assert all(map(math.isnan, interval([[], [0.1, 0.3]])))


def test_the_interval_is_near_the_normal_one_for_many_pairs():
    values = np.random.default_rng(3).normal(0.2, 1, size=400)
    found = interval([values])
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.02, 0.03, "better"),
        (0.005, 0.03, "better"),
        (-0.03, -0.02, "worse"),
        (-0.03, -0.005, "worse"),
        (-0.01, 0.01, "equivalent"),
        (0.002, 0.004, "equivalent"),
        (-0.004, -0.002, "equivalent"),
        (0.0, 0.0, "equivalent"),
        (0.0, 0.02, "undecided"),
        (-0.02, 0.0, "undecided"),
        (-0.011, 0.01, "undecided"),
        (-0.01, 0.011, "undecided"),
        (-0.5, 0.5, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_follows_from_where_the_interval_lies(low, high, said):
    assert verdict(low, high, 0.01) == said
    turned = {"better": "worse", "worse": "better"}
    assert verdict(-high, -low, 0.01) == turned.get(said, said)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_without_a_margin_only_certainty_of_no_difference_is_equivalence(one, other):
    low, high = sorted((one, other))
    assert (verdict(low, high, 0) == "equivalent") == (low == high == 0)


def test_the_ends_of_the_medians_interval_are_the_tabled_order_statistics():
    ranks = {6: 1, 7: 1, 8: 1, 9: 2, 10: 2, 11: 2, 12: 3, 13: 3, 14: 3, 15: 4, 16: 4, 17: 5, 18: 5, 19: 5, 20: 6}
    for count, rank in ranks.items():
        values = np.random.default_rng(count).permutation(count) + 1
        assert median_interval(values) == ((count + 1) / 2, rank, count + 1 - rank)
    # the coverage is the confidence itself
    assert median_interval([1, 2, 3], 0.75) == (2, 1, 3)


@given(st.integers(1, 200), st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99]))
def test_the_medians_interval_is_the_narrowest_symmetric_one_that_covers_enough(count, confidence):
    _, low, high = median_interval(range(1, count + 1), confidence)
    if math.isnan(low):
        assert 1 - 2 * 0.5**count < confidence
        return
    assert low + high == count + 1

    def coverage(rank):
        return 1 - 2 * stats.binom.cdf(rank - 1, count, 0.5)

    assert coverage(low) >= confidence - 1e-12
    assert coverage(low + 1) < confidence + 1e-12


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=40))
def test_the_medians_interval_is_that_of_the_sign_test(values):
    found = median_interval(values)
    assert found.estimate == np.median(values)
    oracle = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert (found.low, found.high) == (oracle.low, oracle.high)


def test_few_values_have_a_median_but_no_interval():
    for count in range(1, 6):
        found = median_interval(range(count))
        assert found.estimate == (count - 1) / 2
        assert math.isnan(found.low)
        assert math.isnan(found.high)
