"""The words of a study, each written once: clocks, budgets, metrics, verdicts and what a run logs.

Tables, comparisons, figures, pages, templates and the report's script take them from here. A clock gives a budget
of its own: it is compared, counted to a target and drawn once ``tables.schema.yaml`` has its columns.
"""

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
    """What a comparison reads.

    Attributes
    ----------
    name : str
        In the table comparisons.
    column : str
        Of the table runs, at a run's end.
    words : str
        As pages say it.
    is_ratio : bool
        Whether it is a cost, read as the strategy's over the reference's: less of it is better. Else it is an
        accuracy, read as a difference.
    """

    name: str
    column: str
    words: str
    is_ratio: bool = False


@dataclass(frozen=True)
class Verdict:
    """What an interval says: ``name`` in tables, ``letter`` in the matrix of the report, and its meaning in words."""

    name: str
    letter: str
    words: str


Word = TypeVar("Word", Clock, Budget, Metric, Verdict)


def _by_name(*words: Word) -> dict[str, Word]:
    return {word.name: word for word in words}


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
    Metric("final_test_accuracy", "final_test_accuracy", "final test accuracy"),
    Metric("best_test_accuracy", "best_test_accuracy", "test accuracy at the epoch chosen on validation"),
    Metric("flops_ratio", "flops", "operations of the whole training", is_ratio=True),
    Metric("seconds_ratio", "reference_seconds", "seconds of the whole training, measured alone", is_ratio=True),
)
# of an accuracy where standard training does not beat the largest class's share: there is nothing to compare
# what several data sets together are called in the tables: the primary ones, and all that are not
PANELS = ("all", "others")
NOT_ABOVE_CHANCE = "not above chance"
VERDICTS = _by_name(
    Verdict("better", "B", "better"),
    Verdict("worse", "W", "worse"),
    Verdict("equivalent", "E", "equivalent: within the margin"),
    Verdict("undecided", "U", "undecided"),
    Verdict("lower", "L", "lower cost"),
    Verdict("higher", "H", "higher cost"),
    Verdict(NOT_ABOVE_CHANCE, "N", "standard training is not above chance: no verdict"),
)
# what a run logs after each epoch: columns of the table epochs, and their words as titles of axes
QUANTITIES = {
    "test_accuracy": "Test accuracy (%)",
    "validation_accuracy": "Validation accuracy (%)",
    "train_loss": "Training loss (nat)",
}
