"""A cell of the grid: all that decides the numbers of its runs, beside their seeds."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from altfreeze.freezing.adaptive import is_adaptive, possible_work
from altfreeze.freezing.plan import Epoch, Work, Workload, plan, plan_work
from altfreeze.support.randomness import stream_seed


@dataclass(frozen=True)
class Cell:
    """All that decides the numbers of a run, beside its seed, and nothing else.

    Attributes
    ----------
    study_seed, dataset, depth : int, str, int
        With a run's seed, the key of its random streams (`altfreeze.support.randomness`).
    strategy : dict
        Name and parameters; see `altfreeze.freezing.strategy.factors`.
    learning_rate : float or None
        None where it is not yet tuned.
    momentum : float or None
        None for an optimizer that does not read it, so that changing it makes no result stale.
    network : str
        ``mlp``, another that is built in, or ``package.module:factory``.
    shape : list of int or None
        In which another network than the MLP gets a row's features; None where they have no places.
    normalisation, frozen_normalisation : str or None
        None for a network that does not read it.
    epochs, width, batch_size, dropout, optimizer, learning_rate_schedule, weight_decay, \
cache_activations, state_on_thaw
        As in the configuration.
    """

    study_seed: int
    dataset: str
    depth: int
    strategy: dict[str, Any]
    epochs: int
    width: int
    batch_size: int
    dropout: float
    optimizer: str
    learning_rate: float | None
    learning_rate_schedule: str
    weight_decay: float
    cache_activations: str
    state_on_thaw: str
    momentum: float | None = None
    network: str = "mlp"
    shape: list[int] | None = None
    normalisation: str | None = None
    frozen_normalisation: str | None = None

    def run_key(self, seed: int) -> tuple[int, str, int, int]:
        """Return the key of what a run's network draws; strategy and recipe are no part of it."""
        return self.study_seed, self.dataset, self.depth, seed

    def data_key(self, seed: int) -> tuple[int, str, int]:
        """Return the key of a run's split and batch order, which are the same at every depth."""
        return self.study_seed, self.dataset, seed

    def plan(self, workload: Workload) -> list[Epoch]:
        """Return the plan of the cell's runs; see `altfreeze.freezing.plan.plan`."""
        seed = stream_seed(self.study_seed, self.dataset, self.depth, "schedule")
        return plan(self.strategy, self.epochs, workload, seed, self._caches(workload))

    def work(self, workload: Workload) -> set[Work]:
        """Return the kinds of work that the cell's runs do, or may decide on."""
        decided = possible_work(workload, self._caches(workload)) if is_adaptive(self.strategy) else set()
        return decided or set(plan_work(self.plan(workload), workload))

    def _caches(self, workload: Workload) -> bool:
        # what is drawn anew, or depends on the batch, cannot be read again
        by_batch = self.frozen_normalisation == "train" and workload.buffered
        return self.cache_activations == "auto" and not self.dropout and not by_batch

    def following(self, strategy: dict[str, Any]) -> "Cell":
        """Return the same cell under another strategy, as what an adaptive one has decided."""
        return replace(self, strategy=strategy)

    def at(self, learning_rate: float) -> "Cell":
        """Return the same cell at another learning rate."""
        return replace(self, learning_rate=learning_rate)

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as JSON values, as manifests and the table packs state it."""
        return {name: value for name, value in asdict(self).items() if value is not None}
