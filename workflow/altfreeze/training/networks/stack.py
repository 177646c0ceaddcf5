"""Networks of any kind, one per seed, as one tensor program by `torch.func`, or in a loop where that is faster."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional

from altfreeze.training.networks.layers import Stack, keep_units

# fused kernels of attention and of whole blocks have no rule for stacks: each would be computed member by member
torch.backends.mha.set_fastpath_enabled(False)
for _kernel in ("flash", "mem_efficient", "cudnn"):
    getattr(torch.backends.cuda, f"enable_{_kernel}_sdp")(False)

# parameters and buffers of a layer by name, of all members or of one
Tensors = dict[str, torch.Tensor]


def _of_member(layer: nn.Module, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    return functional_call(layer, tensors, (x,))


def _of_all(layer: nn.Module, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    return vmap(lambda own, rows: functional_call(layer, own, (rows,)))(tensors, x)


class StackedLayers(Stack):
    """Networks of the same layers, one per seed; see `altfreeze.training.network.StackedNetwork`.

    Between layers, and in `hidden`, the numbers of a row stand in one dimension; each layer gets them in its own shape.

    Parameters
    ----------
    members : sequence of sequence of torch.nn.Module, shape (S, depth)
        Each member's layers, with its initial weights.
    shapes : sequence of sequence of int, length depth
        What goes into each layer, of one row.
    sizes : sequence of int, length depth + 1
        How many numbers go into each layer, and out of the last.
    dropout : float
        Probability of zeroing a number that a layer but the last puts out, in training.
    train_frozen : bool
        Whether frozen layers normalise by the batch and go on moving their statistics, or are as in evaluation.
    loop : bool
        Whether the members compute one after the other. The numbers are those of the stack but for rounding.
    """

    def __init__(
        self,
        members: Sequence[Sequence[nn.Module]],
        shapes: Sequence[Sequence[int]],
        sizes: Sequence[int],
        dropout: float = 0.0,
        train_frozen: bool = False,
        loop: bool = False,
    ) -> None:
        super().__init__()
        self.shapes, self.sizes, self.dropout = shapes, sizes, dropout
        self.train_frozen, self.loop = train_frozen, loop
        # what computes, with tensors that stand here; in a tuple, so that they are no part of the state
        self.templates = tuple(members[0])
        self.stacked = nn.ParameterList()
        self.layers = []
        # of each layer, what its parameters and then its buffers are called in it
        self.names: list[list[str]] = []
        self.buffer_counts: list[int] = []
        for index, layer in enumerate(zip(*members, strict=True)):
            parameters = [[each.detach() for each in module.parameters()] for module in layer]
            self.layers.append([nn.Parameter(torch.stack(each)) for each in zip(*parameters, strict=True)])
            self.stacked.extend(self.layers[-1])
            buffers = list(zip(*(module.buffers() for module in layer), strict=True))
            for place, each in enumerate(buffers):
                self.register_buffer(f"buffer{index}_{place}", torch.stack(each))
            self.names.append([name for name, _ in [*layer[0].named_parameters(), *layer[0].named_buffers()]])
            self.buffer_counts.append(len(buffers))

    @property
    def widest(self) -> int:
        """Most numbers that a layer puts out for one row."""
        return max(self.sizes[1:])

    def _buffers_of(self, index: int) -> list[torch.Tensor]:
        return [self.get_buffer(f"buffer{index}_{place}") for place in range(self.buffer_counts[index])]

    def kept(self, index: int) -> Sequence[torch.Tensor]:
        """Return the buffers of one layer, if they stay as they are while it is frozen."""
        return () if self.train_frozen else self._buffers_of(index)

    def _tensors(self, index: int) -> Tensors:
        """Return parameters and buffers of one layer by their names in it."""
        return dict(zip(self.names[index], [*self.layers[index], *self._buffers_of(index)], strict=True))

    def _compute(
        self,
        tensors: Sequence[Tensors],
        x: torch.Tensor,
        start: int,
        keep: torch.Tensor | None = None,
        stacked: bool = True,
    ) -> torch.Tensor:
        """Return the output of layers from `start` on, which is as wide as it has numbers."""
        compute, rows = (_of_all, 2) if stacked else (_of_member, 1)
        masks = None if keep is None else (keep / (1 - self.dropout)).split(list(self.sizes[1:-1]), -1)
        for index, own in enumerate(tensors, start):
            x = compute(self.templates[index], own, x.unflatten(rows, self.shapes[index])).flatten(rows)
            if masks is not None and index < self.depth - 1:
                x = x * masks[index]
        return x

    def _evaluated(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        for layer in self.templates:
            layer.eval()
        tensors = [self._tensors(index) for index in range(start, stop)]
        if not self.loop:
            return self._compute(tensors, x, start)
        members = range(len(x))
        return torch.stack([self._compute(_member(tensors, i), x[i], start, stacked=False) for i in members])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, as in evaluation: (S, rows, classes) for x of shape (S, rows, features)."""
        return self._evaluated(x, 0, self.depth)

    def hidden(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the output of some layers; see `altfreeze.training.network.StackedNetwork.hidden`."""
        return self._evaluated(x, start, stop)

    def draw_masks(self, generators: Sequence[torch.Generator], rows: int) -> torch.Tensor | None:
        """Draw the dropout masks of one step, of all layers but the last beside each other.

        Parameters
        ----------
        generators : sequence of torch.Generator, length S
        rows : int

        Returns
        -------
        Tensor, shape (S, rows, sum of sizes[1:-1]), or None
            None where nothing is dropped.
        """
        return keep_units(generators, self.dropout, (rows, sum(self.sizes[1:-1]))) if self.dropout else None

    @torch.enable_grad()
    def compute_gradients(
        self, x: torch.Tensor, targets: torch.Tensor, keep: torch.Tensor | None = None, start: int = 0
    ) -> torch.Tensor:
        """Compute the loss and set the gradients of the active layers, by autograd.

        Parameters
        ----------
        x, targets, keep, start
            See `altfreeze.training.network.StackedNetwork.compute_gradients`.

        Returns
        -------
        Tensor, shape (S, batch)
            Cross-entropy of each row.
        """
        for index, layer in enumerate(self.templates):
            layer.train(self.train_frozen or self.layers[index][0].requires_grad)
        tensors = [self._tensors(index) for index in range(start, self.depth)]
        active = [parameter for parameter in self.stacked if parameter.requires_grad]
        for parameter in active:
            if parameter.grad is None:
                # in memory as the parameter is, for the compiled update
                parameter.grad = torch.empty_like(parameter, memory_format=torch.contiguous_format)
        if not self.loop:
            losses = self._losses(self._compute(tensors, x, start, keep), targets)
            for parameter, gradient in zip(active, _gradients(losses, active), strict=True):
                parameter.grad.copy_(gradient)
            return losses.detach()
        all_losses = []
        for i in range(len(x)):
            own = _member(tensors, i)
            leaves = [tensor for of_layer in own for tensor in of_layer.values() if tensor.requires_grad]
            masks = None if keep is None else keep[i]
            losses = self._losses(self._compute(own, x[i], start, masks, stacked=False), targets[i])
            for parameter, gradient in zip(active, _gradients(losses, leaves), strict=True):
                parameter.grad[i].copy_(gradient)
            all_losses.append(losses.detach())
        return torch.stack(all_losses)

    @staticmethod
    def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
        return losses.view(targets.shape)

    def member(self, index: int) -> nn.Sequential:
        """Return one member as an ordinary network.

        Parameters
        ----------
        index : int
            Position in the pack.

        Returns
        -------
        torch.nn.Sequential
            Its layers, with copies of the member's weights, for inputs of the first layer's shape.
        """
        layers = copy.deepcopy(nn.Sequential(*self.templates))
        tensors: dict[str, Any] = {}
        for layer in range(self.depth):
            tensors |= {f"{layer}.{name}": each[index].detach() for name, each in self._tensors(layer).items()}
        # a buffer that its module does not save is set as well
        own = dict(layers.named_parameters()) | dict(layers.named_buffers())
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        return layers


def _member(tensors: Sequence[Tensors], index: int) -> list[Tensors]:
    """Return the tensors of one member: leaves where they learn, and buffers that are written through."""
    return [
        {name: each.detach()[index].requires_grad_(each.requires_grad) for name, each in of_layer.items()}
        for of_layer in tensors
    ]


def _gradients(losses: torch.Tensor, leaves: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """Return the gradients of the sum over members of each one's mean loss."""
    return torch.autograd.grad(losses.sum() / losses.shape[-1], leaves)
