"""Statistics with the data set as the unit."""

import itertools
import math

import numpy as np
import pytest
from altfreeze.statistics import across
from altfreeze.statistics.paired import resample_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

NAN = math.nan
means = st.lists(st.floats(-1, 1).map(lambda value: round(value, 6)), min_size=1, max_size=12)
# few distinct values, so that ties and zeros are common
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=9)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def studies(datasets, runs, seed=0, between=1.0):
    generator = np.random.default_rng(seed)
    return list(generator.normal(size=(datasets, runs)) + between * generator.normal(size=(datasets, 1)))


# Wilcoxon's signed-rank test


def enumerated(differences):
    """Two-sided p-value of the signed-rank test from every pattern of signs."""
    ranks = stats.rankdata(np.abs(differences))[np.array(differences) != 0]
    signs = np.sign([value for value in differences if value])
    patterns = np.array(list(itertools.product([-1, 1], repeat=len(ranks))))
    return np.mean(np.abs(patterns @ ranks) >= abs(signs @ ranks) - 1e-9)


@settings(deadline=None)
@given(tied)
def test_the_signed_rank_p_value_is_the_share_of_all_patterns_of_signs_with_ties_and_zeros(differences):
    assert across.signed_rank_p_value(differences) == pytest.approx(enumerated(differences), abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 9, 13, 20, 40])
def test_without_ties_and_zeros_it_is_scipys_exact_test(count):
    differences = np.random.default_rng(count).normal(0.3, 1, size=count)
    oracle = stats.wilcoxon(differences, method="exact").pvalue
    assert across.signed_rank_p_value(differences) == pytest.approx(oracle, rel=1e-12)


def test_with_ties_and_zeros_it_is_scipys_permutation_test_with_pratts_zeros():
    differences = [0, 0, 1, 1, -1, 2, 3, 3, 4]
    permutations = stats.PermutationMethod(n_resamples=np.inf)
    oracle = stats.wilcoxon(differences, zero_method="pratt", method=permutations).pvalue
    assert across.signed_rank_p_value(differences) == pytest.approx(oracle, rel=1e-12)


def test_the_sign_test_by_hand():
    assert across.sign_test_p_value([1, 2, 3, 4, 5]) == 2 / 2**5
    # a zero is no sign, and neither is the last digit of a sum
    assert across.sign_test_p_value([1, 2, 3, 4, 5, 0, 1e-15]) == 2 / 2**5
    assert across.sign_test_p_value([0.0, 0.0]) == 1


def test_darwins_maize():
    # eighths of an inch, crossed less self-fertilised; p of the exact test as published with R and scipy
    differences = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
    assert across.signed_rank_p_value(differences) == 0.041259765625


def test_round_off_makes_no_ranks_and_no_signs():
    exact = across.signed_rank_p_value([0, 1, 1, -2, 3])
    assert across.signed_rank_p_value([0.3 - 0.2 - 0.1, 0.3 - 0.2, 0.1, 0.1 - 0.3, 0.3]) == exact


@pytest.mark.parametrize("nonzero", range(8))
def test_the_smallest_p_value_is_that_of_equal_signs(nonzero):
    smallest = across.smallest_signed_rank_p_value(nonzero)
    assert smallest == min(1, 2 / 2**nonzero)
    assert across.signed_rank_p_value([0.0] * 3 + [0.1 * value for value in range(1, nonzero + 1)]) == smallest
    assert (smallest <= 0.05) == (nonzero >= 6)


@settings(deadline=None)
@given(tied)
def test_no_differences_have_a_smaller_p_value_than_the_smallest(differences):
    found = across.across_datasets(differences)
    assert found.smallest_wilcoxon_p - 1e-12 <= found.wilcoxon_p <= 1


# across_datasets


@settings(deadline=None)
@given(means)
def test_across_data_sets_turns_with_the_sign_and_heeds_neither_order_nor_scale(values):
    found = across.across_datasets(values)
    turned = across.across_datasets([-value for value in values])
    shuffled = across.across_datasets(values[::-1])
    scaled = across.across_datasets([1024 * value for value in values])
    assert turned[:2] == shuffled[:2] == scaled[:2] == found[:2]
    assert (turned.mean, turned.median) == (-found.mean, -found.median)
    assert turned.low == pytest.approx(-found.high, nan_ok=True)
    assert scaled.high == pytest.approx(1024 * found.high, nan_ok=True)
    assert shuffled.low == pytest.approx(found.low, abs=1e-12, nan_ok=True)
    for other in (turned, shuffled, scaled):
        assert other.wilcoxon_p == found.wilcoxon_p


def test_the_t_test_and_its_interval_are_scipys():
    values = np.random.default_rng(5).normal(0.2, 1, size=9)
    found = across.across_datasets(values)
    oracle = stats.ttest_1samp(values, 0)
    assert found.t_p == pytest.approx(oracle.pvalue, rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)), rel=1e-12)
    assert (found.datasets, found.mean, found.median) == (9, values.mean(), np.median(values))


def test_five_data_sets_can_never_be_significant_and_a_zero_is_none_of_them():
    assert not across.across_datasets([1, 2, 3, 4, 5]).can_be_significant
    assert across.across_datasets([1, 2, 3, 4, 5, 6]).can_be_significant
    found = across.across_datasets([1, 2, 3, 4, 5, 0])
    assert (found.datasets, found.nonzero, found.can_be_significant) == (6, 5, False)
    assert found.smallest_wilcoxon_p == found.wilcoxon_p == 0.0625


def test_one_data_set_has_no_t_test_and_no_interval():
    found = across.across_datasets([0.25])
    assert (found.mean, found.median, found.wilcoxon_p) == (0.25, 0.25, 1)
    assert all(map(math.isnan, (found.t_p, found.low, found.high)))


def test_data_sets_that_are_all_alike_are_certain():
    alike = across.across_datasets([0.25] * 9)
    assert (alike.low, alike.high, alike.t_p, alike.wilcoxon_p) == (0.25, 0.25, 0, 2 / 2**9)
    same = across.across_datasets([0.0] * 9)
    assert (same.low, same.high, same.wilcoxon_p, same.nonzero) == (0, 0, 1, 0)
    assert math.isnan(same.t_p)


def test_of_studies_without_an_effect_no_more_than_the_level_is_significant():
    generator = np.random.default_rng(11)
    found = [across.across_datasets(generator.normal(size=9)) for _ in range(1000)]
    # the exact test of 9 data sets rejects in 20 of 512 patterns of signs; the t test in 5 %
    assert np.mean([one.wilcoxon_p <= 0.05 for one in found]) == pytest.approx(20 / 512, abs=0.02)
    assert np.mean([one.t_p <= 0.05 for one in found]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)


# Holm


def test_holm_by_hand():
    assert across.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert across.holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert across.holm([0.6, 0.9]).tolist() == [1, 1]
    assert across.holm([]).tolist() == []


@settings(deadline=None)
@given(p_values)
def test_holm_is_that_of_statsmodels(values):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert across.holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1], abs=1e-15)


@settings(deadline=None)
@given(p_values, st.randoms())
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferronis(values, random):
    adjusted = across.holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(1, len(values) * np.array(values))).all()
    order = np.argsort(values)
    assert (np.diff(adjusted[order]) >= 0).all()
    shuffled = random.sample(range(len(values)), len(values))
    assert across.holm(np.array(values)[shuffled]).tolist() == adjusted[shuffled].tolist()


@pytest.mark.parametrize("values", [[0.1, NAN], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_p_value(values):
    with pytest.raises(ValueError, match="p-values"):
        across.holm(values)


# Means over runs of data sets

BOTH = [across.cluster_mean, across.interquartile_mean]


@pytest.mark.parametrize("function", BOTH)
def test_the_estimate_and_not_the_interval_is_free_of_the_seed(function):
    samples = studies(9, 10)
    one, other = (function(samples, seed) for seed in (1, 2))
    assert one.estimate == other.estimate
    assert one.low != other.low
    assert one.low == pytest.approx(other.low, abs=0.1)
    assert one.low < one.estimate < one.high


def test_the_mean_is_that_of_the_data_sets_means_and_the_interquartile_mean_that_of_the_middle_half():
    samples = studies(6, 4)
    assert across.cluster_mean(samples, 0).estimate == pytest.approx(np.mean(samples))
    # 24 runs: the middle 12 are whole
    middle = stats.trim_mean(np.concatenate(samples), 0.25)
    assert across.interquartile_mean(samples, 0).estimate == pytest.approx(middle)


def test_the_interquartile_mean_takes_a_part_of_a_run_where_a_quarter_is_not_whole():
    # 9 runs: 2 are cut from either end, and a quarter of the third
    found = across.interquartile_mean([[3, 5, 1], [9, 11, 13], [100, 7, 60]], 0)
    assert found.estimate == pytest.approx((0.75 * 5 + 7 + 9 + 11 + 0.75 * 13) / 4.5)


@pytest.mark.parametrize("function", BOTH)
def test_every_data_set_weighs_the_same_however_many_runs_it_has(function):
    samples = studies(6, 3)
    more = [np.repeat(samples[0], 7), *samples[1:]]
    found, repeated = (function(given, 0) for given in (samples, more))
    assert repeated == pytest.approx(found)


@pytest.mark.parametrize("function", BOTH)
def test_the_interval_moves_with_the_values_and_scales_with_them(function):
    samples = studies(6, 5)
    found = function(samples, 3)
    moved = function([2 * sample + 7 for sample in samples], 3)
    assert moved == pytest.approx([2 * end + 7 for end in found])
    turned = function([-sample for sample in samples], 3)
    assert turned.estimate == pytest.approx(-found.estimate)
    assert turned.low == pytest.approx(-found.high, rel=0.1)


@pytest.mark.parametrize("function", BOTH)
def test_more_data_sets_narrow_the_interval_and_more_runs_of_the_same_ones_hardly(function):
    def width(datasets, runs):
        found = function(studies(datasets, runs), 0)
        return found.high - found.low

    assert width(40, 10) < 0.7 * width(9, 10)
    assert width(9, 100) > 0.6 * width(9, 10)


@pytest.mark.parametrize("function", BOTH)
def test_values_that_are_all_alike_are_certain_and_few_data_sets_have_no_interval(function):
    assert function([[0.5] * 3] * 6, 0) == pytest.approx((0.5, 0.5, 0.5))
    found = function([[0.5] * 3] * 5, 0)
    assert found == pytest.approx((0.5, NAN, NAN), nan_ok=True)


def test_the_interval_covers_the_mean_of_all_data_sets_as_often_as_it_says():
    found = [across.cluster_mean(studies(9, 10, seed), seed) for seed in range(400)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)


def by_definition(samples, drawn):
    """Return the interquartile mean of a resample of data sets, run by run in order."""
    weights = np.concatenate(
        [np.full(len(sample), times / len(samples) / len(sample)) for sample, times in zip(samples, drawn, strict=True)]
    )
    values = np.concatenate(samples)
    order = np.argsort(values)
    within = np.clip(np.cumsum(weights[order]), 0.25, 0.75)
    return 2 * np.diff(within, prepend=0.25) @ values[order]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=5), min_size=6, max_size=8), st.integers(0, 99))
def test_the_interquartile_interval_is_that_of_resamples_taken_one_by_one(samples, seed):
    samples = [np.array(sample, float) for sample in samples]
    drawn = resample_counts(seed, len(samples))[:40]
    found = across._interquartile_means(samples, drawn / len(samples))
    assert found == pytest.approx([by_definition(samples, each) for each in drawn], abs=1e-9)


# Page


def test_page_on_the_example_of_scipy_and_its_mirror():
    # ten students' ratings of three ways to teach
    columns = [[3, 2, 3, 1, 2, 2, 1, 3, 2, 1], [4, 2, 3, 3, 3, 4, 2, 4, 4, 3], [3, 4, 5, 2, 2, 5, 4, 4, 5, 4]]
    table = np.transpose(columns)
    found = across.page_trend(table)
    assert found == (133.5, "increasing", pytest.approx(2 * 0.0018191161948127822))
    mirrored = across.page_trend(table[:, ::-1])
    assert mirrored == (240 - 133.5, "decreasing", found.p_value)
    assert across.page_trend(-table) == mirrored


@settings(deadline=None)
@given(st.permutations(range(3)), st.permutations(range(3)))
def test_page_counts_the_orders_of_two_data_sets_that_are_as_extreme(one, other):
    def statistic(rows):
        return sum((j + 1) * (row[j] + 1) for row in rows for j in range(3))

    orders = list(itertools.permutations(range(3)))
    excess = np.array([statistic(rows) for rows in itertools.product(orders, orders)]) - 24
    found = across.page_trend([one, other])
    assert found.statistic == statistic([one, other])
    assert found.p_value == pytest.approx(np.mean(np.abs(excess) >= abs(found.statistic - 24)))
    assert found.direction == ["decreasing", "none", "increasing"][int(np.sign(found.statistic - 24)) + 1]


def test_page_refuses_a_hole_in_the_table():
    with pytest.raises(ValueError, match="table"):
        across.page_trend([[1, 2, 3], [1, NAN, 3]])


# Profiles


TIMES = [[1.0, 2.0, math.inf, math.inf], [2.0, 1.0, 3.0, math.inf], [5.0, math.inf, 7.5, math.inf]]


def test_time_ratios_and_scores_by_hand():
    inf = math.inf
    assert across.time_ratios(TIMES).tolist() == [[1, 2, inf, inf], [2, 1, 1, inf], [5, inf, 2.5, inf]]
    # slower than four times the fastest and never there earn the same nothing
    assert across.profile_score(TIMES) == pytest.approx([(1 + 2 / 3) / 4, (2 / 3 + 1 + 1) / 4, 0.5 / 4])


times = st.lists(
    st.lists(st.floats(0.01, 100) | st.just(math.inf), min_size=3, max_size=3), min_size=1, max_size=4
).map(np.array)


@settings(deadline=None)
@given(times)
def test_the_profile_score_is_the_area_under_the_profile_as_algoperf_integrates_it(found):
    factors = np.linspace(1, 4, 1000)
    # the share of data sets on which each strategy comes within a factor of the fastest
    profile = (across.time_ratios(found)[:, :, np.newaxis] <= factors).mean(axis=1)
    area = np.trapezoid(profile, factors, axis=1) / 3
    assert across.profile_score(found) == pytest.approx(area, abs=1e-3)


@settings(deadline=None)
@given(times, st.permutations(range(3)))
def test_profiles_heed_neither_the_unit_nor_the_order_of_data_sets(found, order):
    score = across.profile_score(found)
    assert ((score >= 0) & (score <= 1)).all()
    assert across.profile_score((found * [4, 1, 0.5])[:, order]) == pytest.approx(score)
    # some strategy is the fastest wherever one reaches the target at all
    assert np.array_equal((across.time_ratios(found) == 1).any(axis=0), np.isfinite(found).any(axis=0))


# Bayesian signed-rank test


def posterior(differences, margin, seed=0, **prior):
    return across.bayesian_signed_rank(differences, margin, seed, **prior)


@pytest.mark.parametrize("strength", [0.5, 1, 3])
def test_the_posterior_of_one_data_set_is_that_of_a_beta_weight(strength):
    # right holds all pairs but that of the prior with itself: 1 - w^2 > 1/2, with w of Beta(s, 1)
    found = posterior([5], 0.01, prior_strength=strength)
    assert found == pytest.approx((0, 1 - 0.5 ** (strength / 2), 0.5 ** (strength / 2)), abs=0.01)


def test_the_posterior_is_that_of_baycomp():
    baycomp = pytest.importorskip("baycomp")
    differences = np.array([0.03, 0.015, -0.002, 0.02, 0.011, -0.013, 0.0, 0.04, 0.018])
    for margin in (0.01, 0.005):
        oracle = baycomp.SignedRankTest.probs(np.zeros(9), differences, margin, nsamples=10_000, random_state=1)
        assert posterior(differences, margin) == pytest.approx(tuple(oracle), abs=0.02)
    oracle = baycomp.SignedRankTest.probs(np.zeros(9), differences, 0, nsamples=10_000, random_state=1)
    left, rope, right = posterior(differences, 0)
    assert (left, right) == pytest.approx(tuple(oracle), abs=0.02)
    assert rope == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.sampled_from([0.01, 0.1, 0.5]))
def test_the_posterior_turns_with_the_sign_and_sums_to_one(differences, margin):
    found = posterior(differences, margin)
    assert sum(found) == pytest.approx(1)
    turned = posterior([-value for value in differences], margin)
    assert turned == pytest.approx(found[::-1], abs=1e-3)
    assert posterior(differences[::-1], margin, seed=1) == pytest.approx(found, abs=0.02)


def test_clear_cases_are_clear():
    assert posterior([0.05] * 9, 0.01).right > 0.999
    assert posterior([0.001, -0.002, 0.003] * 3, 0.01).rope == 1
    assert posterior([0.0] * 3, 0) == (0.5, 0, 0.5)


# Multi-comparison matrix

LABELS = ["standard", "alternating", "frozen"]
SCORES = np.array([[0.8, 0.9, 0.7], [0.6, 0.6, 0.5], [0.5, 0.7, 0.6], [0.9, 0.8, 0.7]])


def test_a_multi_comparison_matrix_by_hand():
    cells = across.multi_comparison_matrix(SCORES, LABELS)
    order = ["alternating", "standard", "frozen"]
    assert [(cell.row, cell.column) for cell in cells] == list(itertools.permutations(order, 2))
    first = cells[0]
    assert first[2:6] == (pytest.approx(0.05), 2, 1, 1)
    # differences 1, 0, 2, -1 tenths: mean ranks 2.5, -, 4, 2.5, of which 2.5 is negative
    assert first.wilcoxon_p == enumerated([1, 0, 2, -1]) == 0.75


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_matrix_turns_with_the_pair_and_heeds_no_third_strategy(seed, datasets):
    scores = np.random.default_rng(seed).integers(0, 8, size=(datasets, 3)) / 8
    cells = {(cell.row, cell.column): cell for cell in across.multi_comparison_matrix(scores, LABELS)}
    assert len(cells) == 6
    for (row, column), cell in cells.items():
        turned = cells[column, row]
        assert cell.mean_difference == -turned.mean_difference
        assert (cell.wins, cell.ties, cell.losses) == (turned.losses, turned.ties, turned.wins)
        assert cell.wins + cell.ties + cell.losses == datasets
        assert cell.wilcoxon_p == turned.wilcoxon_p
    pair = across.multi_comparison_matrix(scores[:, :2], LABELS[:2])
    assert {cells[cell.row, cell.column] for cell in pair} == set(pair)


def test_equal_means_keep_the_order_of_the_labels():
    cells = across.multi_comparison_matrix([[0.5, 0.5]], ["standard", "frozen"])
    assert [cell.row for cell in cells] == ["standard", "frozen"]


# What none of them takes


@pytest.mark.parametrize("values", [[], [0.1, NAN], [0.1, math.inf], [[0.1, 0.2]]])
@pytest.mark.parametrize(
    "function",
    [
        across.across_datasets,
        across.signed_rank_p_value,
        lambda values: posterior(values, 0.01),
        lambda values: across.cluster_mean([values], 0),
        lambda values: across.interquartile_mean([values], 0),
    ],
)
def test_a_missing_value_is_refused(function, values):
    with pytest.raises(ValueError, match="must be finite"):
        function(values)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: across.cluster_mean([], 0), "data set"),
        (lambda: across.time_ratios([[0.0, 1.0]]), "above 0"),
        (lambda: across.time_ratios([[NAN, 1.0]]), "above 0"),
        (lambda: across.time_ratios([1.0]), "shape"),
        (lambda: across.profile_score([[1.0]], 1), "above 1"),
        (lambda: across.multi_comparison_matrix([[0.1, NAN]], ["a", "b"]), "finite"),
        (lambda: across.multi_comparison_matrix([[0.1, 0.2]], ["a"]), "labels"),
        (lambda: posterior([0.1], -0.01), "margin"),
        (lambda: posterior([0.1], NAN), "margin"),
        (lambda: posterior([0.1], 0.01, prior_strength=0), "prior_strength"),
    ],
)
def test_what_makes_no_sense_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
