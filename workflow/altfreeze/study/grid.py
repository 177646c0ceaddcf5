"""The study as an object: its strategies, cells, packs and primary comparison, computed once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES, defaults
from altfreeze.study.cell import Cell
from altfreeze.study.entries import labelled
from altfreeze.study.recipes import PRIMARY_RECIPE, TUNED, is_tuned_anew, name_of, unread, varied, what_it_sets
from altfreeze.study.sources import MADE, shape_of
from altfreeze.vocabulary import METRICS, NETWORKS, Metric

# seeds of calibration are no seeds of the comparison: these are below
FIRST_CALIBRATION_SEED = 1_000_000
# with seeds_per_job auto, the most seeds of one job: its log is one file
MOST_SEEDS_PER_JOB = 1000


class Pack(NamedTuple):
    """Seeds of one cell that are trained together."""

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
    def setting(self) -> tuple[str, int, str]:
        """Data set, depth and recipe."""
        return self.dataset, self.depth, self.recipe

    @property
    def calibrates(self) -> bool:
        """Whether the pack serves calibration, and no comparison."""
        return self.first_seed >= FIRST_CALIBRATION_SEED


def tuning_file(where: tuple[str, int, str, str]) -> str:
    """Return the path of what a cell's tuning found, below the folder of results; see `Study.tunings`."""
    dataset, depth, strategy, recipe = where
    return f"tuning/{dataset}/depth{depth}/{strategy}/{recipe}.json"


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

    The key ``strategies`` is its `strategies` by label, each parameter written out, ``metric`` its `metric`, and
    ``primary_datasets`` a list.

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

    @property
    def networks(self) -> str:
        """What several of the study's networks are called."""
        return NETWORKS.get(self.network, f"networks of {self.network}")

    @cached_property
    def primary_datasets(self) -> list[str]:
        """Names of the data sets that the primary comparison, and each mean and test over data sets, is about."""
        named = self.config["primary_datasets"]
        if named == "real":
            named = [name for name in self.datasets if self.sources[name]["kind"] not in MADE]
            return named if len(named) > 1 else self.datasets
        return self.datasets if named == "all" else [name for name in self.datasets if name in named]

    @cached_property
    def panels(self) -> dict[str, list[str]]:
        """Data sets that are compared together: ``all`` are the primary ones, ``others`` the rest, if there is one."""
        others = [name for name in self.datasets if name not in self.primary_datasets]
        return {"all": self.primary_datasets} | ({"others": others} if others else {})

    @cached_property
    def strategies(self) -> dict[str, dict[str, Any]]:
        """Label to name and parameters, standard training first; see `altfreeze.freezing.strategy.factors`."""
        entries = labelled(self.config["strategies"], self.freeze_ratios, self.primary_freeze_ratio)
        chosen = {"standard": {"name": "standard"}}
        for label, given in entries:
            unstated = defaults(given["name"])
            general = {
                key: self.config[_GENERAL[key]] for key in STRATEGIES[given["name"]].parameters if key in _GENERAL
            }
            chosen[label] = general | unstated | given
        return chosen

    @cached_property
    def planned(self) -> list[str]:
        """Labels of the strategies whose plan is known before they are trained."""
        return [label for label, named in self.strategies.items() if not STRATEGIES[named["name"]].adaptive]

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

    def _matched(self, strategy: str) -> dict[str, str]:
        """Return the label of the standard training that stops when a strategy has spent as much, by budget."""
        return {"flops": f"standard_matched_flops-{self.alternating[strategy]:g}", "updates": "standard_half_updates"}

    @cached_property
    def primary(self) -> Primary:
        """The primary comparison; see `at_equal_budget`."""
        return self.at_equal_budget(self.primary_strategy, self.primary_budget)

    def at_equal_budget(self, strategy: str, budget: str) -> Primary:
        """Return what an alternating strategy is compared with at an equal budget.

        At equal operations the reference is the control that stops at alternating's, at equal
        updates the one of half the steps, each read at its end: where the learning rate decays, it
        has done so there. Where that control is not trained, or for other budgets, it is standard
        training, read when it has spent as much.

        Parameters
        ----------
        strategy, budget : str
            Label of the strategy, and a key of `altfreeze.vocabulary.EQUAL_BUDGETS`.
        """
        ratio = self.alternating[strategy]
        control = self._matched(strategy).get(budget)
        freezes = 0 < split_index(ratio, self.primary_depth) < self.primary_depth
        if (
            freezes
            and control in self.strategies
            and share_parameters(self.strategies[strategy], self.strategies[control])
        ):
            return Primary(strategy, control, "own")
        return Primary(strategy, "standard", budget)

    @cached_property
    def recipes(self) -> dict[str, "Study"]:
        """Name of each recipe to the study whose primary recipe it is, that of this one first.

        A variation that changes nothing, or what another one does, is no recipe of its own.
        """
        made = {PRIMARY_RECIPE: self}
        known = [what_it_sets(self.config, {})]
        for variation in self.variations:
            if (sets := what_it_sets(self.config, variation)) not in known:
                made[name_of(variation)] = Study(varied(self.config, variation))
                known.append(sets)
        return made

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Data set and depth of every part of the grid, in its order."""
        return [(dataset, depth) for dataset in self.datasets for depth in self.depths]

    @cached_property
    def settings(self) -> list[tuple[str, int, str]]:
        """Data set, depth and recipe that strategies are trained at, in the order of the packs."""
        return [
            (*place, recipe) for place in self.places for recipe in self.recipes if place[1] in self.depths_of(recipe)
        ]

    def tuned_by(self, recipe: str) -> str | None:
        """Return the recipe whose tuning chose a recipe's learning rates; None where they are not tuned.

        It is its own where it is the primary recipe or a variation that names the learning rate. Others keep that of
        the primary recipe: but for what they change, they are the same.
        """
        if self.recipes[recipe].learning_rate != TUNED:
            return None
        named = {PRIMARY_RECIPE, *(name_of(variation) for variation in self.variations if is_tuned_anew(variation))}
        return recipe if recipe in named else PRIMARY_RECIPE

    def is_tuned(self, recipe: str) -> bool:
        """Return whether a recipe has a tuning of its own."""
        return self.tuned_by(recipe) == recipe

    @cached_property
    def tunings(self) -> list[tuple[str, int, str, str]]:
        """Data set, depth, label and recipe of each cell that has a tuning of its own."""
        return [
            (dataset, depth, label, recipe)
            for dataset, depth, recipe in self.settings
            if self.is_tuned(recipe)
            for label in self.labels_of(recipe)
        ]

    @property
    def untuned_rate(self) -> float:
        """A learning rate for what needs one before any is tuned: the first of those that are tried."""
        return self.learning_rates_to_try[0] if self.learning_rate == TUNED else self.learning_rate

    def depths_of(self, recipe: str) -> list[int]:
        """Return the depths that are trained under a recipe: for a variation, the primary one."""
        return self.depths if recipe == PRIMARY_RECIPE else [self.primary_depth]

    def labels_of(self, recipe: str) -> list[str]:
        """Return the strategies that are trained under a recipe.

        For a variation these are standard training, the primary strategy and its controls of equal operations and
        of half the updates, where the study has them.
        """
        matched = {"standard", self.primary_strategy, *self._matched(self.primary_strategy).values()}
        return [label for label in self.strategies if recipe == PRIMARY_RECIPE or label in matched]

    def seeds_of(self, recipe: str) -> range:
        """Return the seeds that are compared under a recipe: for a variation, the first of the primary recipe's."""
        count = self.seeds if recipe == PRIMARY_RECIPE else min(self.seeds, self.variation_seeds)
        return range(self.first_seed, self.first_seed + count)

    def calibration_seeds_of(self, recipe: str) -> range:
        """Return the seeds of calibration under a recipe: for a variation, the first of the primary recipe's."""
        most = self.calibration_seeds
        count = most if recipe == PRIMARY_RECIPE else min(most, self.variation_seeds)
        return range(FIRST_CALIBRATION_SEED, FIRST_CALIBRATION_SEED + count)

    @cached_property
    def packs(self) -> list[Pack]:
        """Every pack: by data set, depth, recipe, strategy and seeds; of each recipe, calibration first."""

        def blocks(seeds: range) -> list[tuple[int, int]]:
            size = MOST_SEEDS_PER_JOB if self.seeds_per_job == "auto" else self.seeds_per_job
            return [(start, min(start + size, seeds.stop) - 1) for start in seeds[::size]]

        packs = []
        for dataset, depth, recipe in self.settings:
            calibration, compared = blocks(self.calibration_seeds_of(recipe)), blocks(self.seeds_of(recipe))
            packs += [Pack(dataset, depth, "standard", recipe, *block) for block in calibration]
            packs += [
                Pack(dataset, depth, strategy, recipe, *block)
                for strategy in self.labels_of(recipe)
                for block in compared
            ]
        return packs

    @cached_property
    def cells(self) -> dict[tuple[str, int, str, str], Cell]:
        """Data set, depth, label and recipe to the cell; where the recipe is tuned, it has no learning rate yet."""
        return {
            (dataset, depth, label, recipe): self.recipes[recipe]._make_cell(dataset, depth, label)
            for dataset, depth, recipe in self.settings
            for label in self.labels_of(recipe)
        }

    def cell(self, dataset: str, depth: int, strategy: str, recipe: str = PRIMARY_RECIPE) -> Cell:
        """Return a cell; where the recipe is tuned, it has no learning rate yet.

        Parameters
        ----------
        dataset, depth, strategy, recipe : str, int, str, str
            `strategy` is a label, see `strategies`; `recipe` is a name, see `recipes`.

        Raises
        ------
        KeyError
            If the study has no such cell.
        """
        # not of all cells, which takes a job longer to make than a small training
        trained = self.recipes[recipe]
        if dataset in self.datasets and depth in self.depths_of(recipe) and strategy in self.labels_of(recipe):
            return trained._make_cell(dataset, depth, strategy)
        raise KeyError((dataset, depth, strategy, recipe))

    def _make_cell(self, dataset: str, depth: int, label: str) -> Cell:
        strategy = self.strategies[label]
        other = self.network != "mlp"
        skipped = unread(self.config)
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
            learning_rate=None if self.learning_rate == TUNED else self.learning_rate,
            learning_rate_schedule=self.learning_rate_schedule,
            weight_decay=self.weight_decay,
            cache_activations=self.cache_activations,
            state_on_thaw=STRATEGIES[strategy["name"]].state_on_thaw or self.state_on_thaw,
            momentum=None if "momentum" in skipped else self.momentum,
            network=self.network,
            shape=shape_of(self.sources[dataset]) if other else None,
            normalisation=self.normalisation if other else None,
            frozen_normalisation=None if "frozen_normalisation" in skipped else self.frozen_normalisation,
        )

    @property
    def walkthrough(self) -> dict[str, Any]:
        """What the page walkthrough shows of the study; its plain loop has one rate, and the optimizers of torch."""
        shown = {
            "num_layers": self.primary_depth,
            "freeze_ratio": self.primary_freeze_ratio,
            "hidden_units": self.width,
        }
        names = ("epochs_standard", "epochs_alternating", "batch_size", "learning_rate", "optimizer", "seed")
        shown |= {name: self.config[name] for name in names}
        # the notebook's own where it cannot
        unfit = {"learning_rate": TUNED, "optimizer": "muon"}
        return {name: value for name, value in shown.items() if unfit.get(name, ...) != value}

    def timed(self) -> dict[str, Any]:
        """Return the part of the configuration that the timing study depends on."""
        names = ["seed", "datasets", "depths", "freeze_ratios", "strategies", "epochs_standard", "epochs_alternating"]
        names += ["width", "batch_size", "dropout", "optimizer", "learning_rate", "learning_rate_schedule"]
        names += ["weight_decay", "cache_activations", *_GENERAL.values(), "state_on_thaw", "primary_freeze_ratio"]
        names += ["network", "normalisation", "frozen_normalisation", "momentum", "timing_rounds", "timing_width"]
        shapes = {name: shape_of(self.sources[name]) for name in self.datasets if self.network != "mlp"}
        return {name: self.config[name] for name in names if name not in unread(self.config)} | {"shapes": shapes}


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
