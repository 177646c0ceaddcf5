"""Statistics of paired comparisons; pure functions, arrays in, named results out."""

from altfreeze.statistics.paired import Interval, mean_difference, median_interval, verdict

__all__ = ["Interval", "mean_difference", "median_interval", "verdict"]
