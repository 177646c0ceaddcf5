"""Times to a target that some runs never reach."""

import math

import numpy as np
import pytest
from altfreeze.statistics.paired import RESAMPLES, mean_difference, resample_counts
from altfreeze.statistics.reach import compare_times, log_ratio_of_means
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
def test_the_restricted_mean_is_the_area_below_the_survival_curve_of_kaplan_and_meier(pairs, horizon):
    times, reached = observe([reference for reference, _ in pairs])
    found = compare([reference for reference, _ in pairs], [strategy for _, strategy in pairs], horizon)
    # times are whole, so the distribution is constant from each unit to the next
    curve = stats.ecdf(stats.CensoredData(uncensored=times[reached], right=times[~reached]))
    assert found.reference_restricted_mean == pytest.approx(curve.sf.evaluate(np.arange(horizon)).sum())
    assert found.reference_success_rate == pytest.approx(curve.cdf.evaluate(horizon))


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
        compare_times([], [], [], [], 10, None)
    with pytest.raises(ValueError, match="a time is nan"):
        compare_times([3.0, math.nan], [True, True], [3.0, 3.0], [True, True], 10, None)
    with pytest.raises(ValueError, match=r"a time is -1\.0"):
        compare_times([3.0, 3.0], [True, True], [3.0, -1.0], [True, False], 10, None)


times_above_zero = st.lists(st.tuples(st.floats(0.1, 50), st.floats(0.1, 50)), min_size=5, max_size=8)


def arms(pairs):
    return tuple([np.array(side)] for side in zip(*pairs, strict=True))


def test_a_log_ratio_by_hand_is_the_mean_of_the_data_sets_logs():
    references = [np.array([1.0, 3.0]), np.array([4.0, 4.0, 4.0])]
    strategies = [np.array([2.0, 6.0]), np.array([1.0, 2.0, 3.0])]
    ratio = log_ratio_of_means(references, strategies, [0, 1])
    assert ratio.estimate == pytest.approx((math.log(2) + math.log(0.5)) / 2, abs=1e-15)
    assert math.isnan(ratio.low)


@given(times_above_zero, st.floats(0.01, 100))
@settings(max_examples=30)
def test_a_log_ratio_turns_with_the_arms_and_heeds_no_unit(pairs, factor):
    reference, strategy = arms(pairs)
    ratio = log_ratio_of_means(reference, strategy, [3])
    turned = log_ratio_of_means(strategy, reference, [3])
    scaled = log_ratio_of_means([reference[0] * factor], [strategy[0] * factor], [3])
    assert turned.estimate == pytest.approx(-ratio.estimate, abs=1e-12)
    assert scaled == pytest.approx(ratio, abs=1e-9)


def test_a_strategy_that_always_takes_as_many_times_as_long_has_that_ratio_and_no_width():
    reference = np.array([3.0, 5.0, 2.0, 9.0, 4.0, 7.0])
    assert log_ratio_of_means([reference], [1.5 * reference], [0]) == pytest.approx([math.log(1.5)] * 3, abs=1e-12)


def test_the_resamples_of_a_log_ratio_are_those_of_pairs():
    rng = np.random.default_rng(5)
    reference, strategy = rng.gamma(4, size=(2, 12))
    ratio = log_ratio_of_means([reference], [strategy], [8])
    counts = resample_counts(8, 12)
    logs = np.log((counts @ strategy) / (counts @ reference))
    assert len(logs) == RESAMPLES
    # its ends are quantiles of theirs, wider than the plain ones as few pairs ask for
    assert 0.003 < np.mean(logs < ratio.low) < 0.025
    assert 0.003 < np.mean(logs > ratio.high) < 0.025


def test_a_small_log_ratio_is_the_mean_difference_over_the_mean():
    rng = np.random.default_rng(6)
    reference = 100 + rng.normal(size=10)
    strategy = reference + 0.01 * rng.normal(size=10)
    ratio = log_ratio_of_means([reference], [strategy], [1])
    assert ratio == pytest.approx([end / 100 for end in mean_difference([strategy - reference], [1])], abs=3e-6)


@pytest.mark.parametrize("strategy", [[1.0, 0.0], [1.0]])
def test_a_log_ratio_of_no_time_or_of_other_runs_is_refused(strategy):
    with pytest.raises(ValueError, match="above 0 and of as many runs"):
        log_ratio_of_means([np.array([1.0, 2.0])], [np.array(strategy)], [0])
