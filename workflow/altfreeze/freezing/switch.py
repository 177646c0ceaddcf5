"""The change from phase to phase: layers freeze and thaw, and frozen ones are shown to have stayed as they were."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch


class LayeredNetwork(Protocol):
    """A network whose parameters are those of layers, in order, each of which freezes as one."""

    @property
    def depth(self) -> int:
        """Number of layers."""

    def layer(self, index: int) -> Sequence[torch.nn.Parameter]:
        """Return the parameters of one layer, counted from 0, the lowest first."""

    def kept(self, index: int) -> Sequence[torch.Tensor]:
        """Return what else of one layer stays as it is while it is frozen: its buffers."""

    def set_active(self, active: Sequence[bool]) -> None:
        """Freeze and thaw layers: a frozen parameter has ``requires_grad=False`` and no gradient.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn, bottom first.
        """


def _checksum(network: LayeredNetwork, optimizer: torch.optim.Optimizer, active: Sequence[bool]) -> torch.Tensor:
    """Return the bits of all that is frozen and of its optimizer state, summed, without waiting for the device."""
    tensors = []
    for index, learns in enumerate(active):
        # every number of a buffer, whatever its type, as two words
        tensors += [] if learns else [each.double().view(torch.float32) for each in network.kept(index)]
        for parameter in network.layer(index) if not learns else ():
            tensors += [parameter.detach(), *filter(torch.is_tensor, optimizer.state.get(parameter, {}).values())]
    # in pairs of numbers, which are words that are summed without a copy; in one sum, as it is one for each switch
    tensors.append(network.layer(0)[0].new_zeros(sum(tensor.numel() for tensor in tensors) % 2))
    return torch.cat([tensor.reshape(-1) for tensor in tensors]).view(torch.int64).sum()


class PhaseSwitch:
    """Freeze and thaw the layers of a network, and check that frozen ones stayed as they were.

    Parameters
    ----------
    network : LayeredNetwork
    optimizer : torch.optim.Optimizer
    state_on_thaw : {'keep', 'reset', 'decay'}
        What happens to a layer's optimizer state when it thaws: nothing; it is forgotten;
        or it becomes what gradients of zero would have made of it meanwhile.
    """

    def __init__(self, network: LayeredNetwork, optimizer: torch.optim.Optimizer, state_on_thaw: str) -> None:
        self.network = network
        self.optimizer = optimizer
        self.state_on_thaw = state_on_thaw
        self.active: Sequence[bool] = (True,) * network.depth
        self.frozen_since = [0] * network.depth
        device = network.layer(0)[0].device
        self.frozen_checksum = torch.zeros((), dtype=torch.int64, device=device)
        self.changed = torch.zeros((), dtype=torch.bool, device=device)

    def check(self) -> None:
        """Check that the frozen layers are what they were when they froze; `confirm` has the answer.

        Raises
        ------
        RuntimeError
            If a frozen parameter has a gradient.
        """
        for index, learns in enumerate(self.active):
            for parameter in self.network.layer(index):
                if parameter.requires_grad != learns or (not learns and parameter.grad is not None):
                    raise RuntimeError(f"layer {index + 1} is not {'active' if learns else 'frozen'} as scheduled")
        self.changed |= _checksum(self.network, self.optimizer, self.active) != self.frozen_checksum

    def confirm(self) -> None:
        """Wait for the device and say what the checks up to here found.

        Raises
        ------
        RuntimeError
            If a frozen parameter or its optimizer state changed.
        """
        if self.changed.item():
            raise RuntimeError("a frozen layer or its optimizer state changed during a phase")

    def to(self, active: Sequence[bool], step: int) -> None:
        """Begin a phase.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn, bottom first.
        step : int
            Steps made so far.
        """
        self.network.set_active(active)
        for index, (learns, learned) in enumerate(zip(active, self.active, strict=True)):
            if learned and not learns:
                self.frozen_since[index] = step
            for parameter in self.network.layer(index) if learns and not learned else ():
                if self.state_on_thaw == "reset":
                    self.optimizer.state.pop(parameter, None)
                elif self.state_on_thaw == "decay":
                    _decay(self.optimizer, parameter, step - self.frozen_since[index])
                momentum = isinstance(self.optimizer, torch.optim.SGD) and self.optimizer.defaults["momentum"]
                if momentum and not self.optimizer.state.get(parameter):
                    # a fused step refuses momenta of which only some are there; the first one starts from zero
                    self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.active = tuple(active)

    def remember(self, active: Sequence[bool]) -> None:
        """Note what the layers are that are frozen in the phase to come, for the next `check`.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn in it; the change `to` it leaves all others as they are.
        """
        self.frozen_checksum = _checksum(self.network, self.optimizer, active)

    def state_dict(self) -> dict[str, Any]:
        """Return what a later switch depends on, for `load_state_dict`."""
        return {name: getattr(self, name) for name in ("active", "frozen_since", "frozen_checksum", "changed")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; network and optimizer are as they were then.

        Parameters
        ----------
        state : dict
        """
        self.active, self.frozen_since = state["active"], state["frozen_since"]
        self.frozen_checksum.copy_(state["frozen_checksum"])
        self.changed.copy_(state["changed"])
        self.network.set_active(self.active)


@torch.no_grad()
def _decay(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, steps: int) -> None:
    """Bring a parameter's optimizer state to where some steps with a gradient of zero would have."""
    state = optimizer.state.get(parameter, {})
    if "momentum_buffer" in state:
        state["momentum_buffer"].mul_(optimizer.defaults["momentum"] ** steps)
    if "exp_avg" in state:
        first, second = optimizer.defaults["betas"]
        state["exp_avg"].mul_(first**steps)
        state["exp_avg_sq"].mul_(second**steps)
        state["step"].add_(steps)
