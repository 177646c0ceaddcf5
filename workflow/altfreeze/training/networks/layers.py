"""What stacks of every kind have in common: layers that freeze and thaw, and units that are kept."""

from collections.abc import Sequence

import torch
from torch import nn


class Stack(nn.Module):
    """Layers of parameters with a leading dimension S that freeze and thaw.

    Attributes
    ----------
    layers : list of sequence of Parameter, length depth
    """

    layers: list[Sequence[nn.Parameter]]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def layer(self, index: int) -> Sequence[nn.Parameter]:
        """Return the parameters of one layer."""
        return self.layers[index]

    def kept(self, index: int) -> Sequence[torch.Tensor]:
        """Return what else of one layer stays as it is while it is frozen."""
        return ()

    def set_active(self, active: Sequence[bool]) -> None:
        """Freeze and thaw layers.

        Frozen means ``requires_grad=False`` and ``grad is None``: the optimizer then
        leaves weight, momentum and step count alone. A zero gradient would not do,
        for momentum, Adam and weight decay go on moving such a weight.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn, bottom first.
        """
        for index, learns in enumerate(active):
            for parameter in self.layer(index):
                parameter.requires_grad_(learns)
                if not learns:
                    parameter.grad = None


def keep_units(generators: Sequence[torch.Generator], probability: float, shape: tuple[int, ...]) -> torch.Tensor:
    """Return 1 with what is left of a probability and else 0, of a shape for each member, by its own generator."""
    return torch.stack([torch.rand(shape, generator=generator) for generator in generators]).ge_(probability)
