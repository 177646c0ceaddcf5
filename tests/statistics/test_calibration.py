"""Methods keep what they claim in simulated studies; `benchmarks/calibration.py` prints the table of many more."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

STUDIES = 100


@pytest.fixture(scope="module")
def calibration():
    path = Path(__file__).parents[2] / "benchmarks" / "calibration.py"
    spec = importlib.util.spec_from_file_location("calibration", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slack(row, studies):
    """Return how far few studies stray from a claim: three standard errors of a share."""
    near = min(max(row.measured, row.claim.lowest), row.claim.highest)
    return 3 * math.sqrt(near * (1 - near) / studies)


@pytest.fixture(scope="module")
def rows(calibration):
    return calibration.calibrate(STUDIES)


def test_what_is_claimed_is_kept(calibration, rows):
    assert not [row for row in rows if not calibration.kept(row, slack(row, STUDIES))]


def test_data_sets_that_differ_in_truth_break_an_interval_for_these_alone(calibration, rows):
    measured = {row[:2]: row.measured for row in rows if row[2:4] == (calibration.NINE, "interval holds the truth")}
    assert measured["these data sets", "normal, differences drawn"] > 0.9
    assert measured["data sets like these", "normal, differences drawn"] < 0.8


def test_intervals_that_are_too_narrow_are_noticed(calibration, monkeypatch):
    def narrow(*given, honest=calibration.paired_comparisons):
        return [
            one._replace(low=one.mean_difference - half, high=one.mean_difference + half)
            for one, half in ((one, (one.high - one.low) / 4) for one in honest(*given))
        ]

    monkeypatch.setattr(calibration, "paired_comparisons", narrow)
    counts, generator = calibration.Counts(), np.random.default_rng(4)
    for study in range(STUDIES):
        calibration.without_difference(counts, "normal", study % 9, generator)
    broken = {row.method for row in counts.rows() if not calibration.kept(row, slack(row, STUDIES))}
    assert broken == {calibration.ONE, calibration.NINE}


@pytest.mark.parametrize("population", ["normal", "accuracies"])
def test_populations_are_what_they_say(calibration, population):
    generator, effects = np.random.default_rng(4), np.linspace(-0.02, 0.03, 9)
    runs = np.array([calibration.draw(population, effects, generator) for _ in range(2000)])
    reference, strategy = runs.transpose(1, 2, 0, 3).reshape(2, 9, -1)
    error = (strategy - reference).std(axis=1) / math.sqrt(reference.shape[1])
    assert (np.abs((strategy - reference).mean(axis=1) - effects) < 4 * error).all()
    for one, other in zip(reference, strategy, strict=True):
        # about: chance adds less to an accuracy near 1
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(0.5, abs=0.1)


def test_pairs_of_one_split_correlate_as_asked(calibration):
    generator = np.random.default_rng(4)
    runs = [calibration.draw("normal", np.zeros(9), generator, 0.25) for _ in range(3000)]
    differences = np.array([(strategy - reference) / calibration.SPREADS[:, None] for reference, strategy in runs])
    assert differences.var() == pytest.approx(2, rel=0.02)
    assert (differences[:, :, 0] * differences[:, :, 1]).mean() / 2 == pytest.approx(0.25, abs=0.03)
