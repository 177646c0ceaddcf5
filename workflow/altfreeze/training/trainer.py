"""Train one pack: the seeds of one cell, stacked. What decides its numbers, and nothing that prints or writes."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from altfreeze.freezing.flow import GradientFlow
from altfreeze.freezing.plan import Epoch, Step, Workload, are_alike, layer_ranges
from altfreeze.freezing.switch import PhaseSwitch
from altfreeze.study.cell import Cell
from altfreeze.support.randomness import stream_seed
from altfreeze.training.batches import Parts, draw_batches, evaluate, fill, stack_parts, to_device, workload_of
from altfreeze.training.clock import Clock
from altfreeze.training.network import StackedNetwork
from altfreeze.training.networks.making import make_network
from altfreeze.training.optimizer import are_made_at_once, learning_rate, make_at_once, make_optimizer, update_of

# plain values of a trainer that its state holds
_COUNTS = ("epochs", "steps", "flops", "updates", "diverged", "records")


class TrainedPack(NamedTuple):
    """What `train_pack` returns."""

    rows: list[dict[str, Any]]
    network: StackedNetwork
    optimizer: torch.optim.Optimizer
    diverged: dict[int, float]
    seconds: float
    workload: Workload


class Trainer:
    """Carries out the plan of a training on the networks of a pack; `train_pack` is its loop.

    Parameters
    ----------
    network : altfreeze.training.network.StackedNetwork
        With the initial weights, on the device.
    cell : altfreeze.study.cell.Cell
    plan : list of altfreeze.freezing.plan.Epoch
        What each step does; see `altfreeze.study.cell.Cell.plan`.
    workload : altfreeze.freezing.plan.Workload
    seeds : sequence of int, length S
    parts : altfreeze.training.batches.Parts
        The members' data, on the device.
    flow : altfreeze.freezing.flow.GradientFlow, optional
        Observes each layer's gradients and updates, off the clock.

    Attributes
    ----------
    epochs : int
        Made so far, as are ``steps``.
    clock : Clock
        The caller starts it before an epoch's start and stops it after the last step.
    cache : Tensor, shape (S, rows of the train part, width)
        Output of frozen lowest layers for the whole train part, where the plan keeps it.
    records : list of dict
        Of all epochs.
    """

    def __init__(
        self,
        network: StackedNetwork,
        cell: Cell,
        plan: Sequence[Epoch],
        workload: Workload,
        seeds: Sequence[int],
        parts: Parts,
        flow: GradientFlow | None = None,
    ) -> None:
        self.network, self.cell, self.plan, self.workload = network, cell, plan, workload
        self.seeds, self.parts, self.flow = seeds, parts, flow
        self.data_keys = [cell.data_key(seed) for seed in seeds]
        self.device = parts.train[0].device
        self.generators = [torch.Generator().manual_seed(stream_seed(*cell.run_key(seed), "dropout")) for seed in seeds]
        self.optimizer = make_optimizer(network, cell, plan[0].by_layer)
        self.update = update_of(self.optimizer)
        self.at_once = are_made_at_once(network, self.optimizer)
        self.switch = PhaseSwitch(network, self.optimizer, cell.state_on_thaw)
        self.clock = Clock(self.device)
        self.epochs, self.steps, self.flops, self.updates = 0, 0, 0, [0] * network.depth
        self.diverged: dict[int, float] = {}
        self.records: list[dict[str, Any]] = []
        self.cache = parts.train[0]
        if flow is not None:
            flow.begin(network)

    def begin_epoch(self, epoch: Epoch) -> None:
        """Bring the train part into the order of an epoch, or the cache in its place, which is made or deepened.

        Parameters
        ----------
        epoch : altfreeze.freezing.plan.Epoch
            What the steps to come are of.
        """
        if epoch.fill:
            self.fill(*epoch.fill)
        x, targets = self.parts.train
        self.x, self.targets = draw_batches(self.data_keys, self.epochs, self.cache if epoch.cached else x, targets)
        self.epoch = epoch
        # rows that the epoch's steps have visited, and the sum of their losses
        self.rows, self.loss_sum = 0, torch.zeros(len(self.seeds), device=self.device)

    def fill(self, start: int, stop: int) -> None:
        """Compute frozen layers for the whole train part, from the features or from what the cache holds.

        Parameters
        ----------
        start, stop : int
            The layers from `start` up to but without `stop`, counted from 0.
        """
        self.cache = fill(self.network, self.cache if start else self.parts.train[0], start, stop)

    def make_steps(self, steps: Sequence[Step]) -> None:
        """Make optimizer steps on the epoch's next rows, at once where no layer freezes or thaws between them.

        Parameters
        ----------
        steps : sequence of altfreeze.freezing.plan.Step
        """
        if self.at_once and are_alike(steps):
            self._make_at_once(steps)
        else:
            for step in steps:
                self._make(step)

    def _make(self, step: Step) -> None:
        # where a phase begins, layers freeze and thaw
        if step.active != self.switch.active:
            self.begin_phase(step.active)

        # the learning rate of the schedule, times the factor of each layer where they differ
        for group, rate in zip(self.optimizer.param_groups, self._rates(step), strict=True):
            group["lr"] = rate

        # the next rows of each member, and the units that it drops
        batch = slice(self.rows, self.rows + step.rows)
        self.rows = batch.stop
        masks = self.network.draw_masks(self.generators, step.rows)
        keep = None if masks is None else to_device(masks, self.device)

        # gradients of the active layers, and their update
        losses = self.network.compute_gradients(self.x[:, batch], self.targets[:, batch], keep, self.epoch.cached)
        self.loss_sum += losses.sum(1)
        self.update()
        self.steps += 1

    def _make_at_once(self, steps: Sequence[Step]) -> None:
        """Do what `_make` does for each, to the same bits."""
        if steps[0].active != self.switch.active:
            self.begin_phase(steps[0].active)
        rows = [step.rows for step in steps]
        batches = slice(self.rows, self.rows + sum(rows))
        self.rows = batches.stop
        x, targets = self.x[:, batches], self.targets[:, batches]
        rates = [self._rates(step) for step in steps]
        losses = make_at_once(self.network, self.optimizer, x, targets, self.epoch.cached, rows, rates)
        for of_step in losses.split(rows, 1):
            self.loss_sum += of_step.sum(1)
        self.steps += len(steps)

    def _rates(self, step: Step) -> list[float]:
        """Return the learning rate of each group of parameters."""
        rate = learning_rate(self.cell, step.progress)
        return [rate * factor for factor in step.factors] if self.epoch.by_layer else [rate]

    def begin_phase(self, active: Sequence[bool]) -> None:
        """Freeze and thaw layers; the check of the phase that ends is off the clock.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn from here on, bottom first.
        """
        # the check is a few small kernels: not worth an empty queue at every step
        with self.clock.paused(wait=self.flow is not None):
            self.switch.check()
            self.switch.remember(active)
            if self.flow is not None:
                self.flow.switch(active, self.steps)
        self.switch.to(active, self.steps)

    def end_epoch(self) -> None:
        """Count what the epoch's steps did, and make sure that no frozen layer changed.

        Raises
        ------
        RuntimeError
            See `altfreeze.freezing.switch.PhaseSwitch.confirm`.
        """
        self.switch.confirm()
        if self.flow is not None:
            self.flow.end_epoch(self._epochs_made(), self.steps, self.seeds)
        self.epochs += 1
        self.flops += self.epoch.flops(self.workload)
        self.updates = [sum(counts) for counts in zip(self.updates, self.epoch.updates(), strict=True)]

    def record(self) -> list[dict[str, Any]]:
        """Evaluate the members after an epoch and return its records, one per seed; see `train_pack`.

        Returns
        -------
        list of dict
            Their keys are the columns of the log.
        """
        # what is measured of each member: the losses at the weights that each batch met, and the parts kept aside
        measured = {"train_loss": (self.loss_sum / self.rows).tolist()}
        for name, part in (("validation", self.parts.validation), ("test", self.parts.test)):
            scores = evaluate(self.network, *part)._asdict()
            measured |= {f"{name}_{score}": values.tolist() for score, values in scores.items()}

        # what is the same for all of them
        made, last = self._epochs_made(), self.epoch.steps[-1]
        layers = map(self.network.layer, range(self.network.depth))
        parameter_counts = [sum(parameter[0].numel() for parameter in layer) for layer in layers]
        counted = {
            "active": layer_ranges(self.epoch.updates()),
            "learning_rate": learning_rate(self.cell, last.progress) * max(last.factors),
            "flops": self.flops,
            "updates": " ".join(map(str, self.updates)),
            "updates_mean": float(np.average(self.updates, weights=parameter_counts)),
            "updates_minimum": min(self.updates),
            "seconds": self.clock.seconds,
        }

        # a seed whose loss is not finite has diverged, and stays so
        records = []
        for index, seed in enumerate(self.seeds):
            if not all(math.isfinite(measured[loss][index]) for loss in ("train_loss", "validation_loss", "test_loss")):
                self.diverged.setdefault(seed, made)
            status = "diverged" if seed in self.diverged else "ok"
            values = {name: of_all[index] if status == "ok" else math.nan for name, of_all in measured.items()}
            records.append({"seed": seed, "epoch": made, "status": status, **values, **counted})
        self.records += records
        return records

    def state_dict(self) -> dict[str, Any]:
        """Return what the rest of the training depends on, after an epoch, for `load_state_dict`.

        Returns
        -------
        dict
            Of tensors, which training goes on to change, and plain values.
        """
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "switch": self.switch.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "flow": None if self.flow is None else self.flow.state_dict(),
            "seconds": self.clock.seconds,
            **{name: getattr(self, name) for name in _COUNTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned in a training of the same arguments, to the same bits.

        Parameters
        ----------
        state : dict
        """
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.switch.load_state_dict(state["switch"])
        for generator, its_state in zip(self.generators, state["generators"], strict=True):
            generator.set_state(its_state)
        if self.flow is not None:
            # of the weights as they are now
            self.flow.begin(self.network)
            self.flow.load_state_dict(state["flow"])
        self.clock.seconds = state["seconds"]
        for name in _COUNTS:
            setattr(self, name, state[name])

        # the cache that the next epoch goes on with, from the last fill on that began with the features
        epoch = self.plan[self.epochs]
        if epoch.fill[0] if epoch.fill else epoch.cached:
            fills = [earlier.fill for earlier in self.plan[: self.epochs] if earlier.fill]
            first = max(index for index, (start, _) in enumerate(fills) if start == 0)
            for start, stop in fills[first:]:
                self.fill(start, stop)

    def _epochs_made(self) -> float:
        """Return the epochs made so far, not whole where the budget ends within one."""
        return self.steps / len(self.workload.batches)


def train_pack(
    X: np.ndarray,
    y: np.ndarray,
    cell: Cell,
    seeds: Sequence[int],
    device: str | torch.device = "cpu",
    progress: Callable[[list[dict[str, Any]], int, int], None] | None = None,
    flow: GradientFlow | None = None,
    state: dict[str, Any] | None = None,
    save: Callable[[int, Callable[[], dict[str, Any]]], None] | None = None,
    part: np.ndarray | None = None,
    decide: Callable[[int], list[Epoch]] | None = None,
    only_last: bool = False,
) -> TrainedPack:
    """Train the seeds of one cell together.

    Each seed has a split, initial weights, batches, dropout masks, gradients and
    updates of its own, all of them independent of the strategy and of the other
    seeds of the pack (`altfreeze.support.randomness`). The loss that is differentiated is the
    sum over seeds of each seed's mean over its batch.

    Parameters
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features; NaN where missing.
    y : ndarray of int64, shape (rows,)
        Classes, 0 .. classes - 1.
    cell : altfreeze.study.cell.Cell
    seeds : sequence of int, length S
    device : str
        ``cpu`` or ``cuda``.
    progress : callable, optional
        Called after each epoch with that epoch's rows, its number from 1 and the number of epochs.
    flow : altfreeze.freezing.flow.GradientFlow, optional
        Observes each layer's gradients and updates, off the clock.
    state : dict, optional
        What `Trainer.state_dict` returned in a training of the same arguments: it goes on
        from there, to the same bits as an undisturbed one.
    save : callable, optional
        Called after each epoch but the last, off the clock, with its number from 1 and
        `Trainer.state_dict`.
    part : ndarray of int8, shape (rows,), optional
        The split that the data set came with; see `altfreeze.data.split.split_of_seed`.
    decide : callable, optional
        Called as `save` is, with the number alone: returns the whole plan to go on with.
    only_last : bool
        Whether the members are evaluated after the last epoch alone, and nothing is called before it: weights that
        are not finite stay so, and show then.

    Returns
    -------
    TrainedPack
        ``rows``: one dict per epoch and seed, whose keys are the columns of the log.
        ``epoch`` is the number of epochs made so far, not whole at the end where the
        strategy's budget ends within one. ``train_loss`` is the mean over the epoch's rows,
        each at the weights its batch met; ``flops`` (cost model) and updates are cumulative
        and of one network; ``updates`` are those of each layer, bottom first,
        ``updates_mean`` their mean over parameters and ``updates_minimum`` the fewest of a
        layer; ``learning_rate`` is the highest of a layer in the last step; ``seconds`` are
        cumulative, of the whole pack, without evaluation. ``diverged``: seed to the first
        epoch whose loss was not finite; from then on its losses and accuracies are NaN.
        ``network`` and ``optimizer`` as they are at the end, ``seconds`` of training,
        ``workload`` of a run.

    Raises
    ------
    RuntimeError
        If a frozen layer changed (a defect of this program or of its libraries).
    """
    # data, plan and the initial weights of each seed
    parts = stack_parts(X, y, [cell.data_key(seed) for seed in seeds], torch.device(device), part)
    workload = workload_of(X, y, cell, part)
    plan = cell.plan(workload)
    weight_seeds = [stream_seed(*cell.run_key(seed), "initial weights") for seed in seeds]
    network = make_network(cell, workload, weight_seeds, device)
    trainer = Trainer(network, cell, plan, workload, seeds, parts, flow)
    if state is not None:
        trainer.load_state_dict(state)

    while trainer.epochs < len(plan):
        # on the clock: the order of the rows, the cache, and every step
        trainer.clock.start()
        trainer.begin_epoch(plan[trainer.epochs])
        trainer.make_steps(trainer.epoch.steps)
        trainer.clock.stop()

        # off the clock: what was done and how well each member does
        trainer.end_epoch()
        if only_last and trainer.epochs < len(plan):
            continue
        rows = trainer.record()

        # for whoever watches, and for a job that goes on after this one was killed
        if progress is not None:
            progress(rows, trainer.epochs, len(plan))
        if save is not None and trainer.epochs < len(plan):
            save(trainer.epochs, trainer.state_dict)
        if decide is not None and trainer.epochs < len(plan):
            plan = decide(trainer.epochs)

    # of the last phase too: frozen layers stayed as they were
    trainer.switch.check()
    trainer.switch.confirm()
    return TrainedPack(trainer.records, network, trainer.optimizer, trainer.diverged, trainer.clock.seconds, workload)
