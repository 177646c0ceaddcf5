"""The study as an object: its strategies, cells, packs and primary comparison, computed once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES, defaults
from altfreeze.study.cell import Cell
from altfreeze.study.entries import labelled
from altfreeze.vocabulary import METRICS, Metric

# seeds of calibration are no seeds of the comparison: these are below
FIRST_CALIBRATION_SEED = 1_000_000
# with seeds_per_job auto, the most seeds of one job: its log is one file
MOST_SEEDS_PER_JOB = 1000


class Pack(NamedTuple):
    """Seeds of one cell that are trained together, under one recipe."""

    dataset: str
    depth: int
    strategy: str
    recipe: str
    first_seed: int
    last_seed: int

    @property
    def seeds(self) -> str:
        """The block of seeds as text, first and last included."""
        return f"{self.first_seed}-{self.last_seed}"

    @property
    def stem(self) -> str:
        """Path of the pack's files below the folder of runs, without suffix."""
        return f"{self.dataset}/depth{self.depth}/{self.strategy}/{self.recipe}/seeds{self.seeds}"

    @property
    def calibrates(self) -> bool:
        """Whether the pack serves calibration, and no comparison."""
        return self.first_seed >= FIRST_CALIBRATION_SEED


class Primary(NamedTuple):
    """The primary comparison: labels of the strategy and its reference, and the budget, as in the table comparisons."""

    strategy: str
    reference: str
    budget: str


# parameters of strategies that are general keys of the configuration
_GENERAL = {"period": "freeze_period", "unit": "freeze_unit", "first": "first_to_learn"}


@dataclass(frozen=True)
class Study:
    """A study: every key of its configuration is an attribute, but ``study``, which is its `name`.

    The key ``strategies`` is its `strategies` by label, each parameter written out, and ``metric`` its `metric`.

    Attributes
    ----------
    config : dict
        Complete configuration, JSON values; see `altfreeze.study.reading.complete`.
    """

    config: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in ("config", "study") or name not in self.config:
            raise AttributeError(f"a study has no {name}")
        return self.config[name]

    @property
    def name(self) -> str:
        """Name of the study, as the report shows it."""
        return self.config["study"]

    @cached_property
    def metric(self) -> Metric:
        """What a run is scored by."""
        return METRICS[self.config["metric"]]

    @cached_property
    def strategies(self) -> dict[str, dict[str, Any]]:
        """Label to name and parameters, standard training first; see `altfreeze.freezing.strategy.factors`."""
        entries = labelled(self.config["strategies"], self.freeze_ratios, self.primary_freeze_ratio)
        chosen = {"standard": {"name": "standard"}}
        for label, given in entries:
            name = given["name"]
            general = {key: self.config[_GENERAL[key]] for key in STRATEGIES[name].parameters if key in _GENERAL}
            chosen[label] = defaults(name) | general | given
        return chosen

    @cached_property
    def alternating(self) -> dict[str, float]:
        """Label to freeze ratio of each alternating strategy."""
        return {
            label: strategy["freeze_ratio"]
            for label, strategy in self.strategies.items()
            if strategy["name"] == "alternating"
        }

    @cached_property
    def primary_strategy(self) -> str:
        """Label of the strategy that the primary comparison is about."""
        return f"alternating-{self.primary_freeze_ratio:g}"

    @cached_property
    def primary(self) -> Primary:
        """The primary comparison.

        At equal operations the reference is the control that stops at alternating's, at equal
        updates the one of half the steps, each read at its end: its learning rate has then
        decayed. Where that control is not trained, or for other budgets, it is standard
        training, read when it has spent as much.
        """
        strategy = self.primary_strategy
        controls = {
            "flops": f"standard_matched_flops-{self.primary_freeze_ratio:g}",
            "updates": "standard_half_updates",
        }
        control = controls.get(self.primary_budget)
        freezes = 0 < split_index(self.primary_freeze_ratio, self.primary_depth) < self.primary_depth
        if (
            freezes
            and control in self.strategies
            and share_parameters(self.strategies[strategy], self.strategies[control])
        ):
            return Primary(strategy, control, "own")
        return Primary(strategy, "standard", self.primary_budget)

    @cached_property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes that every strategy is trained under."""
        return ("configured", "tuned") if self.tune else ("configured",)

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Data set and depth of every part of the grid, in its order."""
        return [(dataset, depth) for dataset in self.datasets for depth in self.depths]

    @cached_property
    def packs(self) -> list[Pack]:
        """Every pack: by data set, depth, recipe, strategy and seeds; those of calibration before the others."""

        def blocks(first: int, seeds: int) -> list[tuple[int, int]]:
            size = MOST_SEEDS_PER_JOB if self.seeds_per_job == "auto" else self.seeds_per_job
            return [(start, min(start + size, first + seeds) - 1) for start in range(first, first + seeds, size)]

        calibration = blocks(FIRST_CALIBRATION_SEED, self.calibration_seeds)
        compared = blocks(0, self.seeds)
        packs = []
        for dataset, depth in self.places:
            packs += [Pack(dataset, depth, "standard", "configured", *block) for block in calibration]
            packs += [
                Pack(dataset, depth, strategy, recipe, *block)
                for recipe in self.recipes
                for strategy in self.strategies
                for block in compared
            ]
        return packs

    @cached_property
    def cells(self) -> dict[tuple[str, int, str], Cell]:
        """Data set, depth and label to the cell at the configured learning rate."""
        return {
            (dataset, depth, label): self._make_cell(dataset, depth, label)
            for dataset, depth in self.places
            for label in self.strategies
        }

    def cell(self, dataset: str, depth: int, strategy: str) -> Cell:
        """Return a cell at the configured learning rate.

        Parameters
        ----------
        dataset, depth, strategy : str, int, str
            `strategy` is a label, see `strategies`.

        Raises
        ------
        KeyError
            If the study has no such cell.
        """
        return self.cells[dataset, depth, strategy]

    def _make_cell(self, dataset: str, depth: int, label: str) -> Cell:
        strategy = self.strategies[label]
        return Cell(
            study_seed=self.seed,
            dataset=dataset,
            depth=depth,
            strategy=strategy,
            epochs=self.epochs_standard if label == "standard" else self.epochs_alternating,
            width=self.width,
            batch_size=self.batch_size,
            dropout=self.dropout,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            learning_rate_schedule=self.learning_rate_schedule,
            weight_decay=self.weight_decay,
            cache_activations=self.cache_activations,
            state_on_thaw=STRATEGIES[strategy["name"]].state_on_thaw or self.state_on_thaw,
            momentum=self.momentum if self.optimizer == "sgd" else None,
        )

    def timed(self) -> dict[str, Any]:
        """Return the part of the configuration that the timing study depends on."""
        names = ["seed", "datasets", "depths", "freeze_ratios", "strategies", "epochs_standard", "epochs_alternating"]
        names += ["width", "batch_size", "dropout", "optimizer", "learning_rate", "learning_rate_schedule"]
        names += ["weight_decay", "cache_activations", *_GENERAL.values(), "state_on_thaw", "primary_freeze_ratio"]
        names += ["momentum"] if self.optimizer == "sgd" else []
        return {name: self.config[name] for name in (*names, "timing_rounds")}


def share_parameters(strategy: dict[str, Any], control: dict[str, Any]) -> bool:
    """Return whether a control has all parameters that it shares with a strategy in common with it.

    A control with a period of its own, say, matches another alternating training.

    Parameters
    ----------
    strategy, control : dict
        Names and parameters; see `Study.strategies`.

    Returns
    -------
    bool
    """
    return all(strategy[key] == control[key] for key in strategy.keys() & control.keys() - {"name"})
