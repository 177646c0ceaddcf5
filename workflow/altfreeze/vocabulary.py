"""The words of a study, each written once: clocks, budgets, metrics, measures, verdicts and what a run logs.

Tables, comparisons, figures, pages, templates and the report's script take them from here. A clock gives a budget
of its own: it is compared, counted to a target and drawn once ``tables.schema.yaml`` has its columns.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Clock:
    """What a training spends.

    Attributes
    ----------
    name : str
        In the tables times_to_target, reached and times.
    column, end : str
        Columns of the tables epochs and runs: what was spent after an epoch, and at the end.
    words, unit : str
        As pages say it; the unit may be empty.
    """

    name: str
    column: str
    end: str
    words: str
    unit: str = ""

    @property
    def label(self) -> str:
        """Title of an axis."""
        return f"{self.words[0].upper()}{self.words[1:]}{f' ({self.unit})' if self.unit else ''}"


@dataclass(frozen=True)
class Budget:
    """What two strategies have both spent of ``clock`` when they are read; without one, each is read at its own end."""

    name: str
    words: str
    clock: Clock | None = None


@dataclass(frozen=True)
class Metric:
    """What a run is scored by, after each epoch, on its validation and on its test part.

    Attributes
    ----------
    name : str
        In the configuration.
    column : str
        How its columns of the tables end: ``validation_…``, ``test_…``.
    words : str
        As pages say it.
    unit, units : str
        What pages count its differences in, a hundredth, in the singular and in the plural.
    scale : int
        By which pages multiply its values: shares are shown as percentages.
    chance : callable
        Of the classes' shares of a part, the best that a constant prediction scores there.
    chance_words : str
        What that is.
    lower_is_better : bool
    """

    name: str
    column: str
    words: str
    unit: str
    units: str
    scale: int
    chance: Callable[[Sequence[float]], float]
    chance_words: str
    lower_is_better: bool = False

    @property
    def sign(self) -> int:
        """By which a value is multiplied so that more of it is better."""
        return -1 if self.lower_is_better else 1

    @property
    def validation(self) -> str:
        """Column of the table epochs."""
        return f"validation_{self.column}"

    @property
    def test(self) -> str:
        """Column of the table epochs."""
        return f"test_{self.column}"

    @property
    def final(self) -> str:
        """Name of the measure of a run's end, or of the epoch that is read."""
        return f"final_test_{self.column}"

    @property
    def best(self) -> str:
        """Name of the measure of the epoch chosen on validation."""
        return f"best_test_{self.column}"

    @property
    def points(self) -> str:
        """The units where the metric is said beside them."""
        return self.units.removeprefix(f"{self.words} ")

    def shown(self, value: float) -> str:
        """Return a value as pages show it."""
        return f"{self.scale * value:.{2 if self.scale == 100 else 4}f}"

    def title(self, part: str) -> str:
        """Title of an axis: ``Test accuracy (%)``."""
        return f"{part} {self.words} ({'%' if self.scale == 100 else 'nat'})"


@dataclass(frozen=True)
class Measure:
    """What a comparison reads.

    Attributes
    ----------
    name : str
        In the table comparisons.
    column : str
        Of the table runs, at a run's end.
    words : str
        As pages say it.
    metric : Metric, optional
        What it is scored by: read as a difference that is positive where the strategy is better, which is strategy
        minus reference or, where lower is better, reference minus strategy. Without one it is a cost.
    """

    name: str
    column: str
    words: str
    metric: Metric | None = None

    @property
    def is_ratio(self) -> bool:
        """Whether it is a cost, read as the strategy's over the reference's: less of it is better."""
        return self.metric is None


@dataclass(frozen=True)
class Endpoint:
    """A half of the answer: ``name`` in tables, the question that it answers, and its words."""

    name: str
    question: str
    words: str


@dataclass(frozen=True)
class Verdict:
    """What an interval says: ``name`` in tables, and its meaning in words."""

    name: str
    words: str


Word = TypeVar("Word", Clock, Budget, Endpoint, Metric, Measure, Verdict)


def _by_name(*words: Word) -> dict[str, Word]:
    return {word.name: word for word in words}


def _one_over_classes(shares: Sequence[float]) -> float:
    return 1 / sum(share > 0 for share in shares)


def _entropy(shares: Sequence[float]) -> float:
    return -sum(share * math.log(share) for share in shares if share > 0)


CLOCKS = _by_name(
    Clock("epoch", "epoch", "epochs", "epochs"),
    Clock("updates", "updates_mean", "updates_mean", "updates per parameter"),
    Clock("flops", "flops", "flops", "operations", "FLOPs"),
    Clock("seconds", "reference_seconds", "reference_seconds", "seconds, measured alone"),
)
EQUAL_BUDGETS = _by_name(
    *(
        Budget("epochs" if clock.name == "epoch" else clock.name, f"equal {clock.words}", clock)
        for clock in CLOCKS.values()
    )
)
BUDGETS = _by_name(Budget("own", "each at its own end")) | EQUAL_BUDGETS
METRICS = _by_name(
    Metric(
        "accuracy",
        "accuracy",
        "accuracy",
        "accuracy point",
        "accuracy points",
        100,
        max,
        "the share of the largest class",
    ),
    Metric(
        "balanced_accuracy",
        "balanced_accuracy",
        "balanced accuracy",
        "balanced accuracy point",
        "balanced accuracy points",
        100,
        _one_over_classes,
        "one over the number of classes",
    ),
    Metric(
        "log_loss",
        "loss",
        "log loss",
        "hundredth of a nat",
        "hundredths of a nat",
        1,
        _entropy,
        "the entropy of the classes' shares",
        lower_is_better=True,
    ),
)
ENDPOINTS = _by_name(
    Endpoint("end", "better", "at the end, for equal operations"),
    Endpoint("time", "faster", "on the way to a target"),
)
# networks that are built in, and what several of one are called; another is named by its factory
NETWORKS = {"mlp": "MLPs", "cnn": "CNNs", "resnet": "residual networks", "transformer": "transformers"}
# of a difference within the margin where the endpoint does not notice that standard training lost half of its budget
SATURATED = "saturated"
MEASURES = _by_name(
    *(Measure(metric.final, metric.final, f"final test {metric.words}", metric) for metric in METRICS.values()),
    *(
        Measure(metric.best, metric.best, f"test {metric.words} at the epoch chosen on validation", metric)
        for metric in METRICS.values()
    ),
    Measure("flops_ratio", "flops", "operations of the whole training"),
    Measure("seconds_ratio", "reference_seconds", "seconds of the whole training, measured alone"),
)
# what several data sets together are called in the tables: the primary ones, and all that are not
PANELS = ("all", "others")
# where standard training does not beat what a constant prediction scores: there is nothing to compare
NOT_ABOVE_CHANCE = "not above chance"
VERDICTS = _by_name(
    Verdict("better", "better"),
    Verdict("worse", "worse"),
    Verdict("equivalent", "equivalent: within the margin"),
    Verdict(SATURATED, "saturated: within the margin, as half of a standard training is: cannot tell"),
    Verdict("undecided", "undecided"),
    Verdict("lower", "lower cost"),
    Verdict("higher", "higher cost"),
    Verdict(NOT_ABOVE_CHANCE, "standard training is not above chance: no verdict"),
)
# what a run logs after each epoch: columns of the table epochs, and their words as titles of axes
QUANTITIES = {
    **{metric.test: metric.title("Test") for metric in METRICS.values()},
    **{metric.validation: metric.title("Validation") for metric in METRICS.values()},
    "train_loss": "Training loss (nat)",
}
