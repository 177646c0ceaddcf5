"""Statistics of paired comparisons; pure functions, arrays in, named results out."""

from altfreeze.statistics.across import (
    across_datasets,
    bayesian_signed_rank,
    cluster_mean,
    holm,
    interquartile_mean,
    multi_comparison_matrix,
    page_trend,
    profile_score,
    sign_test_p_value,
    signed_rank_p_value,
    time_ratios,
)
from altfreeze.statistics.diagnostics import a_a, seeds_needed, variance_components
from altfreeze.statistics.paired import (
    Interval,
    PairedComparison,
    mean_difference,
    median_interval,
    paired_comparisons,
    resample_counts,
    two_one_sided_tests,
    verdict,
)
from altfreeze.statistics.reach import compare_times, log_ratio_of_means

__all__ = [
    "Interval",
    "PairedComparison",
    "a_a",
    "across_datasets",
    "bayesian_signed_rank",
    "cluster_mean",
    "compare_times",
    "holm",
    "interquartile_mean",
    "log_ratio_of_means",
    "mean_difference",
    "median_interval",
    "multi_comparison_matrix",
    "page_trend",
    "paired_comparisons",
    "profile_score",
    "resample_counts",
    "seeds_needed",
    "sign_test_p_value",
    "signed_rank_p_value",
    "time_ratios",
    "two_one_sided_tests",
    "variance_components",
    "verdict",
]
