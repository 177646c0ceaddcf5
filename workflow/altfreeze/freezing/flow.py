"""What freezing does to each layer's gradients and updates, epoch by epoch."""

import math
import time
from collections.abc import Sequence
from typing import Any

import torch

from altfreeze.freezing.strategy import History
from altfreeze.freezing.switch import LayeredNetwork

FLOW_COLUMNS = (
    "seed",
    "epoch",
    "layer",
    "gradient_norm",
    "change_norm",
    "change_cosine",
    "steps_since_update",
)


class GradientFlow:
    """Observes the layers of a stack during its training; everything is off the training clock.

    Of each layer, epoch and member: ``gradient_norm``, the norm of the layer's gradient
    (weight and bias) in its last step of the epoch; ``change_norm``, the norm of what the
    epoch added to its parameters; ``change_cosine``, the cosine between that and what the
    last epoch before in which the layer learned added; ``steps_since_update``, at the
    layer's first thaw in the epoch, the steps since it last learned, which is the age of
    the optimizer state it finds if that is kept. All are NaN where the layer did not learn
    in the epoch; the cosine also in the first epoch in which it does, or where one of the
    changes is zero; the age also where it did not thaw after having learned before.

    Attributes
    ----------
    rows : list of tuple
        In the order of `FLOW_COLUMNS`; one per epoch, layer (counted from 1) and member.
    """

    def __init__(self) -> None:
        self.rows: list[tuple] = []

    def begin(self, network: LayeredNetwork) -> None:
        """Note the network before its first step.

        Parameters
        ----------
        network : altfreeze.freezing.switch.LayeredNetwork
            Its parameters have a leading dimension of members.
        """
        depth = network.depth
        self.network = network
        self.before = [self._flat(index) for index in range(depth)]
        self.last_change: list[torch.Tensor | None] = [None] * depth
        self.last_step: list[int | None] = [None] * depth
        self.active = (True,) * depth
        self.gradients: list[torch.Tensor | None] = [None] * depth
        self.ages = [math.nan] * depth
        self.epoch_start = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what was noted up to the end of an epoch, for `load_state_dict`."""
        return {name: getattr(self, name) for name in ("rows", "last_change", "last_step", "active", "epoch_start")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; the network is as it was then, and `begin` was called.

        Parameters
        ----------
        state : dict
        """
        for name, value in state.items():
            setattr(self, name, value)
        device = self.before[0].device
        self.last_change = [change if change is None else change.to(device) for change in self.last_change]

    def switch(self, active: Sequence[bool], step: int) -> None:
        """Note the gradients of the layers that freeze and the age of those that thaw.

        Called before the network's layers are frozen and thawed.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn from here on.
        step : int
            Steps made so far.
        """
        self._note(step)
        for index, (learns, learned) in enumerate(zip(active, self.active, strict=True)):
            last = self.last_step[index]
            if learns and not learned and last is not None and math.isnan(self.ages[index]):
                self.ages[index] = step - last
        self.active = tuple(active)

    def end_epoch(self, epoch: float, step: int, seeds: Sequence[int]) -> None:
        """Add one row per member and layer.

        Parameters
        ----------
        epoch : float
            Epochs made so far.
        step : int
            Steps made so far.
        seeds : sequence of int, length S
        """
        self._note(step)
        for index, (gradient, age) in enumerate(zip(self.gradients, self.ages, strict=True)):
            norm = cosine = torch.full((len(seeds),), math.nan)
            if gradient is None:
                gradient = norm
            else:
                after, last = self._flat(index), self.last_change[index]
                change = after - self.before[index]
                norm = change.norm(dim=1)
                if last is not None:
                    # rounding can lead beyond 1
                    cosine = ((change * last).sum(1) / (norm * last.norm(dim=1))).clamp(-1, 1)
                self.before[index], self.last_change[index] = after, change
            columns = zip(seeds, gradient.tolist(), norm.tolist(), cosine.tolist(), strict=True)
            self.rows += [(seed, epoch, index + 1, *measured, age) for seed, *measured in columns]
        self.gradients = [None] * self.network.depth
        self.ages = [math.nan] * self.network.depth
        self.epoch_start = step

    def _flat(self, index: int) -> torch.Tensor:
        """Return a layer's parameters as a copy of shape (S, parameters)."""
        return torch.cat([parameter.detach().flatten(1) for parameter in self.network.layer(index)], 1)

    def _note(self, step: int) -> None:
        """Keep the gradient norms of the layers that learned up to here."""
        if step == self.epoch_start:
            # these gradients are those of the epoch before
            return
        for index, parameters in enumerate(map(self.network.layer, range(self.network.depth))):
            gradients = [parameter.grad.flatten(1) for parameter in parameters if parameter.grad is not None]
            if gradients:
                self.gradients[index] = torch.cat(gradients, 1).norm(dim=1)
                self.last_step[index] = step


class NormObserver(GradientFlow):
    """Observes the norms that adaptive strategies decide by, and nothing else, in a few calls.

    Attributes
    ----------
    history : altfreeze.freezing.strategy.History
        Norms of all members' parameters of a layer together.
    seconds : list of float
        What observing took, after each epoch.
    """

    def begin(self, network: LayeredNetwork) -> None:
        """Note the network before its first step; see `GradientFlow.begin`."""
        self.network, self.history = network, History()
        self.seconds: list[float] = []
        self.layers: list[list[torch.Tensor]] = [list(network.layer(index)) for index in range(network.depth)]
        self.noted = [[parameter.detach().clone() for parameter in layer] for layer in self.layers]

    def switch(self, active: Sequence[bool], step: int) -> None:
        """Note nothing: what is observed are ends of epochs, between which layers freeze."""

    @torch.no_grad()
    def end_epoch(self, epoch: float, step: int, seeds: Sequence[int]) -> None:
        """Add the norms of an epoch to the history; see `GradientFlow.end_epoch`."""
        began = time.perf_counter()
        learned = [index for index, layer in enumerate(self.layers) if layer[0].grad is not None]
        now = [parameter for index in learned for parameter in self.layers[index]]
        before = [parameter for index in learned for parameter in self.noted[index]]
        norms = []
        gradients = [parameter.grad for parameter in now if parameter.grad is not None]
        for tensors in (gradients, torch._foreach_sub(now, before)):
            of_each = iter(torch.stack(torch._foreach_norm(tensors)).tolist())
            of_layers = {index: math.hypot(*(next(of_each) for _ in self.layers[index])) for index in learned}
            norms.append(tuple(of_layers.get(index, math.nan) for index in range(len(self.layers))))
        torch._foreach_copy_(before, now)
        self.history = History((*self.history.gradients, norms[0]), (*self.history.changes, norms[1]))
        self.seconds.append(time.perf_counter() - began)
