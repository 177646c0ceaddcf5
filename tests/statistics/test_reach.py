"""Times to a target that some runs never reach."""

import math

import numpy as np
import pytest
from altfreeze.statistics.reach import compare_times, runtime_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

END = 20
# one run of each arm: the time at which it would reach its target, which may be after its end
runs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12)


def observe(times, end=END):
    """Return what a training to `end` shows of runs that take these times."""
    times = np.asarray(times, dtype=float)
    return np.minimum(times, end), times <= end


def compare(reference, strategy, horizon=END, seed=0):
    return compare_times(*observe(reference), *observe(strategy), horizon, seed)


def test_a_comparison_counted_by_hand():
    found = compare([2, 4, 6, 25], [1, 8, 25, 25], horizon=10)
    assert found.pairs == 4
    assert found.horizon == 10
    assert found.reference_restricted_mean == (2 + 4 + 6 + 10) / 4
    assert found.strategy_restricted_mean == (1 + 8 + 10 + 10) / 4
    assert (found.reference_success_rate, found.strategy_success_rate) == (3 / 4, 2 / 4)
    assert found.reference_expected_runtime == pytest.approx((2 + 4 + 6 + 10) / 3)
    assert found.strategy_expected_runtime == pytest.approx((1 + 8 + 10 + 10) / 2)
    assert found.difference.estimate == pytest.approx((-1 + 4 + 4 + 0) / 4)


def test_a_target_that_is_reached_after_the_horizon_counts_as_not_reached():
    late, never = (compare_times([12.0], [reached], [3.0], [True], 10, None) for reached in (True, False))
    assert late == never
    assert late.reference_success_rate == 0
    assert math.isinf(late.reference_expected_runtime)
    at = compare_times([10.0], [True], [3.0], [True], 10, None)
    assert at.reference_success_rate == 1


def test_where_no_run_reaches_its_target_there_is_nothing_to_compare():
    found = compare([25] * 6, [30] * 6)
    assert found.difference.estimate == 0
    assert math.isnan(found.difference.low)
    assert math.isnan(found.difference.high)
    assert math.isinf(found.strategy_expected_runtime)


@given(runs)
@settings(deadline=None, max_examples=50)
def test_without_censoring_the_restricted_mean_and_the_expected_runtime_are_the_mean(pairs):
    reference, strategy = np.transpose(pairs)
    found = compare_times(reference, reference >= 0, strategy, strategy >= 0, 30, 0)
    assert found.reference_restricted_mean == found.reference_expected_runtime == pytest.approx(reference.mean())
    assert found.difference.estimate == pytest.approx((strategy - reference).mean())


@given(runs, st.integers(1, END))
@settings(deadline=None, max_examples=50)
def test_the_restricted_mean_is_the_area_above_the_runtime_distribution(pairs, horizon):
    times, reached = observe([reference for reference, _ in pairs])
    found = compare([reference for reference, _ in pairs], [strategy for _, strategy in pairs], horizon)
    # times are whole, so the distribution is constant from each unit to the next
    assert found.reference_restricted_mean == pytest.approx(
        (1 - runtime_distribution(times, reached, range(horizon))).sum()
    )
    assert found.reference_success_rate == runtime_distribution(times, reached, [horizon])[0]


@given(runs, st.integers(1, END), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_swapped_strategies_swap_and_the_order_of_pairs_does_not_matter(pairs, horizon, random):
    found = compare(*np.transpose(pairs), horizon)
    swapped = compare(*np.transpose(pairs)[::-1], horizon)
    assert swapped.difference.estimate == pytest.approx(-found.difference.estimate)
    assert swapped[2:8:2] == found[3:8:2]
    random.shuffle(pairs)
    assert compare(*np.transpose(pairs), horizon)[:8] == pytest.approx(found[:8])


@given(runs, st.integers(2, 9))
@settings(deadline=None, max_examples=30)
def test_another_unit_of_time_changes_only_the_unit(pairs, factor):
    reference, strategy = observe(np.transpose(pairs)[0]), observe(np.transpose(pairs)[1])
    found = compare_times(*reference, *strategy, END, 0)
    reference, strategy = ((factor * times, reached) for times, reached in (reference, strategy))
    scaled = compare_times(*reference, *strategy, factor * END, 0)
    assert scaled[4:6] == found[4:6]
    assert scaled[2:4] == pytest.approx([factor * value for value in found[2:4]])
    assert scaled[6:8] == pytest.approx([factor * value for value in found[6:8]])
    assert scaled.difference == pytest.approx([factor * value for value in found.difference], nan_ok=True)


def test_the_expected_runtime_is_the_mean_time_of_restarts_until_a_success():
    generator = np.random.default_rng(5)
    times, reached = observe([3, 8, 14, 26, 40])
    expected = compare_times(times, reached, times, reached, END, 0).reference_expected_runtime
    restarted = []
    for _ in range(20000):
        spent = 0
        while not reached[run := generator.integers(len(times))]:
            spent += times[run]
        restarted.append(spent + times[run])
    assert np.mean(restarted) == pytest.approx(expected, rel=0.03)


def test_the_interval_depends_on_the_generator_and_the_estimates_do_not():
    reference, strategy = [2, 4, 6, 9, 25, 3], [1, 8, 25, 25, 4, 4]
    one, other = (compare(reference, strategy, seed=seed) for seed in (1, 2))
    assert one[:8] == other[:8]
    assert one.difference.estimate == other.difference.estimate
    assert one.difference != other.difference
    assert one.difference.low < one.difference.estimate < one.difference.high


def test_the_runtime_distribution_by_hand_and_one_minus_kaplan_and_meier():
    times, reached = observe([3, 5, 5, 9, 14, 25, 25, 40])
    # Kaplan and Meier: the product of one minus reached over at risk
    survival = {3: 7 / 8, 5: 7 / 8 * 5 / 7, 9: 5 / 8 * 4 / 5, 14: 4 / 8 * 3 / 4}
    found = runtime_distribution(times, reached, [0, *survival, END])
    assert found == pytest.approx([0, *(1 - value for value in survival.values()), 5 / 8])


def test_the_runtime_distribution_of_published_remission_times():
    # Freireich and others, 1963: weeks of remission without the drug, of which none is censored,
    # and with it, where the first patient leaves after 6 weeks
    without = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    found = 1 - runtime_distribution(without, [True] * 21, [1, 2, 3, 4, 5, 8, 11, 12, 15, 17, 22, 23])
    published = [0.9048, 0.8095, 0.7619, 0.6667, 0.5714, 0.3810, 0.2857, 0.1905, 0.1429, 0.0952, 0.0476, 0]
    assert found == pytest.approx(published, abs=5e-5)
    relapsed, left = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    found = 1 - runtime_distribution(relapsed + left, [True] * 9 + [False] * 12, [5, 6, 7])
    assert found == pytest.approx([1, 0.8571, math.nan], abs=5e-5, nan_ok=True)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.integers(1, 30))
def test_the_runtime_distribution_is_one_minus_kaplan_and_meier_to_the_end(times, end):
    times, reached = observe(times, end)
    oracle = stats.ecdf(stats.CensoredData(uncensored=times[reached], right=times[~reached]))
    thresholds = np.arange(end + 1)
    found = runtime_distribution(times, reached, thresholds)
    assert found == pytest.approx(oracle.cdf.evaluate(thresholds))
    after = runtime_distribution(times, reached, [end + 1])[0]
    assert after == 1 if reached.all() else math.isnan(after)


def test_what_was_not_observed_is_refused():
    with pytest.raises(ValueError, match=r"ended at 9\.0 without its target, before 10"):
        compare_times([9.0], [False], [3.0], [True], 10, None)
    with pytest.raises(ValueError, match=r"ended at 9\.0 without its target, before 10"):
        compare_times([3.0], [True], [9.0, 10.0], [False, False], 10, None)
    with pytest.raises(ValueError, match="1 runs of the reference, but 2 of the strategy"):
        compare_times([3.0], [True], [3.0, 4.0], [True, True], 10, None)
    with pytest.raises(ValueError, match="not both"):
        compare_times([3.0], [True, True], [3.0], [True], 10, None)
    with pytest.raises(ValueError, match="not both"):
        runtime_distribution([], [], [1])
    with pytest.raises(ValueError, match="a time is nan"):
        runtime_distribution([3.0, math.nan], [True, True], [1])
    with pytest.raises(ValueError, match=r"a time is -1\.0"):
        runtime_distribution([3.0, -1.0], [True, False], [1])
