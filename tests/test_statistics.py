"""Intervals of paired differences."""

import math

import numpy as np
import pytest
from altfreeze.statistics import mean_difference
from hypothesis import given, settings
from hypothesis import strategies as st

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
