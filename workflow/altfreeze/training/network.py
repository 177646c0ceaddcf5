"""Stacked networks: the seeds of a pack as one tensor program."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from altfreeze.freezing.switch import LayeredNetwork
from altfreeze.training.networks import compiled
from altfreeze.training.networks.layers import Stack, keep_units


class StackedNetwork(LayeredNetwork, Protocol):
    """What training knows of a network: S members, one per seed, whose layers freeze and thaw.

    No operation mixes members, so gradients, updates and a divergence stay within each.
    Every parameter has the leading dimension S. `StackedMLP` is one.
    """

    @property
    def widest(self) -> int:
        """Most numbers that a layer puts out for one row."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, as in evaluation: (S, rows, classes) for x of shape (S, rows, features)."""

    def hidden(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the output of the layers from `start` up to but without `stop`, counted from 0, as in evaluation.

        Parameters
        ----------
        x : Tensor, shape (S, rows, inputs of layer `start`)
        start, stop : int

        Returns
        -------
        Tensor, shape (S, rows, inputs of layer `stop`)
        """

    def draw_masks(self, generators: Sequence[torch.Generator], rows: int) -> torch.Tensor | None:
        """Draw the dropout masks of one step, on the CPU; None where nothing is dropped.

        Parameters
        ----------
        generators : sequence of torch.Generator, length S
            Each member's own, on the CPU: what is drawn for it depends on no other.
        rows : int
            Rows in the batch.
        """

    def compute_gradients(
        self, x: torch.Tensor, targets: torch.Tensor, keep: torch.Tensor | None = None, start: int = 0
    ) -> torch.Tensor:
        """Set the gradients of the active layers, of the sum over members of each one's mean cross-entropy.

        Parameters
        ----------
        x : Tensor, shape (S, batch, inputs of layer `start`)
        targets : Tensor of int64, shape (S, batch)
        keep : Tensor, optional
            What `draw_masks` drew.
        start : int
            Frozen layers below this one are not computed: `x` is their output.

        Returns
        -------
        Tensor, shape (S, batch)
            Cross-entropy of each row.
        """

    def member(self, index: int) -> nn.Sequential:
        """Return one member as an ordinary network, with copies of its weights."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all parameters, in an order that never changes."""

    def state_dict(self) -> dict[str, Any]:
        """Return all parameters and buffers by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over what `state_dict` returned."""


def use_repeatable_kernels(device: str) -> None:
    """Let torch compute the same bits each time in this process, and no subnormal numbers.

    Parameters
    ----------
    device : {'cpu', 'cuda'}
    """
    # the decayed momenta of dead units are subnormal, and would slow a step down many times
    torch.set_flush_denormal(True)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def layer_sizes(features: int, width: int, depth: int, classes: int) -> list[int]:
    """Return the widths between the layers: features, hidden widths, classes.

    Parameters
    ----------
    features, width, depth, classes : int
        Input features, hidden width, number of weight layers, output classes.

    Returns
    -------
    list of int, length depth + 1
    """
    return [features, *[width] * (depth - 1), classes]


def initial_parameters(sizes: Sequence[int], seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Draw PyTorch's default initialisation of linear layers from one generator.

    The same numbers as ``torch.manual_seed(seed)`` followed by the construction of
    the layers ``nn.Linear(sizes[0], sizes[1])``, ... in order: weight and bias are
    uniform in +-1 / sqrt(fan_in).

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        See `layer_sizes`.
    seed : int
        Seed of the generator.

    Returns
    -------
    list of (Tensor, Tensor), length depth
        Weight of shape (in, out) and bias of shape (out,) of each layer.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        bound = fan_in**-0.5
        weight = torch.empty(fan_out, fan_in)
        nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        bias = torch.empty(fan_out).uniform_(-bound, bound, generator=generator)
        parameters.append((weight.t(), bias))
    return parameters


class StackedMLP(Stack):
    """Multilayer perceptrons with ReLU, one per seed, stacked in leading dimension S.

    Layer l has the weight ``weights[l]`` of shape (S, in, out) and the bias
    ``biases[l]`` of shape (S, 1, out). No operation mixes members, so gradients,
    updates and a divergence stay within each.

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        See `layer_sizes`.
    seeds : sequence of int, length S
        Seed of each member's initial weights; see `initial_parameters`.
    dropout : float
        Probability of zeroing a hidden unit in training, after each ReLU.
    """

    def __init__(self, sizes: Sequence[int], seeds: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        members = [initial_parameters(sizes, seed) for seed in seeds]
        self.dropout = dropout
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer in zip(*members, strict=True):
            self.weights.append(torch.stack([weight for weight, _ in layer]))
            self.biases.append(torch.stack([bias for _, bias in layer]).unsqueeze(1))
        # a ParameterList looks each of them up by its name
        self.layers = list(zip(self.weights, self.biases, strict=True))
        self.sizes = np.array(sizes)

    @property
    def widest(self) -> int:
        """Most units of a layer."""
        return max(weight.shape[2] for weight in self.weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, without dropout.

        Parameters
        ----------
        x : Tensor, shape (S, batch, features)
            A batch of its own for each member.

        Returns
        -------
        Tensor, shape (S, batch, classes)
        """
        weight, bias = self.layer(self.depth - 1)
        return torch.baddbmm(bias, self.hidden(x, 0, self.depth - 1), weight)

    def hidden(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the output of some hidden layers, without dropout.

        Parameters
        ----------
        x : Tensor, shape (S, rows, inputs of layer `start`)
        start, stop : int
            The layers from `start` up to but without `stop`, counted from 0.

        Returns
        -------
        Tensor, shape (S, rows, inputs of layer `stop`)
        """
        for index in range(start, stop):
            weight, bias = self.layer(index)
            x = torch.relu(torch.baddbmm(bias, x, weight))
        return x

    def draw_masks(self, generators: Sequence[torch.Generator], rows: int) -> torch.Tensor | None:
        """Draw the dropout masks of one step; see `dropout_masks`.

        Parameters
        ----------
        generators : sequence of torch.Generator, length S
        rows : int
            Rows in the batch.

        Returns
        -------
        Tensor, shape (S, depth - 1, rows, width), or None
            None where nothing is dropped.
        """
        if not self.dropout:
            return None
        return dropout_masks(generators, self.dropout, self.depth, rows, self.weights[0].shape[2])

    @torch.no_grad()
    def compute_gradients(
        self, x: torch.Tensor, targets: torch.Tensor, keep: torch.Tensor | None = None, start: int = 0
    ) -> torch.Tensor:
        """Compute the loss and set the gradients of the active layers, by hand.

        The loss is the sum over members of each one's mean cross-entropy over its
        batch. The numbers are those of autograd, with less overhead; what the freeze
        state makes superfluous (`altfreeze.freezing.cost.step_flops`) is not computed.

        Parameters
        ----------
        x : Tensor, shape (S, batch, inputs of layer `start`)
            A batch of its own for each member.
        targets : Tensor of int64, shape (S, batch)
            Classes.
        keep : Tensor, shape (S, depth - 1, batch, width), optional
            Dropout masks: 1 where a hidden unit is kept, 0 where it is dropped; see
            `dropout_masks`. Kept units are scaled by 1 / (1 - dropout). Without it
            nothing is dropped.
        start : int
            The frozen layers below this one, counted from 0, are not computed: `x` is
            their output; see `hidden`.

        Returns
        -------
        Tensor, shape (S, batch)
            Cross-entropy of each row.
        """
        parameters = [parameter for layer in self.layers for parameter in layer]
        if compiled.serves(self.layers[0]):
            return self._compute_compiled(parameters, x, targets, keep, start)
        layers = self.layers
        lowest = next(index for index, (weight, _) in enumerate(layers) if weight.requires_grad)
        scale = 1 / (1 - self.dropout)
        inputs = {}
        for index, (weight, bias) in enumerate(layers[start:], start):
            if index > start:
                x = x.relu_() if keep is None else x.relu_().mul_(keep[:, index - 1] * scale)
            inputs[index] = x
            x = torch.baddbmm(bias, x, weight)
        log_probabilities = x.log_softmax(-1)
        columns = targets.unsqueeze(-1)
        losses = -log_probabilities.gather(-1, columns).squeeze(-1)
        # of the mean cross-entropy with respect to the logits: (probability - one-hot target) / batch
        gradient = log_probabilities.exp_()
        gradient.scatter_(-1, columns, gradient.gather(-1, columns) - 1).mul_(1 / x.shape[1])
        for index in range(self.depth - 1, lowest - 1, -1):
            weight, bias = layers[index]
            if weight.requires_grad:
                # into the memory of the last step's gradient, if there is one
                weight.grad = torch.bmm(inputs[index].transpose(1, 2), gradient, out=weight.grad)
                bias.grad = torch.sum(gradient, 1, keepdim=True, out=bias.grad)
            if index > lowest:
                gradient = torch.bmm(gradient, weight.transpose(1, 2))
                # a unit that is zero was negative or dropped: either way nothing flows through it
                gradient = torch.ops.aten.threshold_backward(gradient, inputs[index], 0)
                if keep is not None:
                    gradient.mul_(scale)
        return losses

    def _compute_compiled(
        self,
        parameters: Sequence[nn.Parameter],
        x: torch.Tensor,
        targets: torch.Tensor,
        keep: torch.Tensor | None,
        start: int,
    ) -> torch.Tensor:
        """Do what `compute_gradients` does, with its parameters, in one call."""
        compiled.set_gradients(parameters)
        x, targets = contiguous_rows(x, targets)
        masks = None if keep is None else keep.contiguous()
        losses = torch.empty(targets.shape)
        compiled.compute_gradients(
            compiled.addresses(parameters),
            self.sizes,
            start,
            x.data_ptr(),
            x.stride(0),
            targets.data_ptr(),
            targets.stride(0),
            0 if masks is None else masks.data_ptr(),
            1.0 if masks is None else 1 / (1 - self.dropout),
            losses.numpy(),
        )
        return losses

    def member(self, index: int) -> nn.Sequential:
        """Return one member as an ordinary network.

        Parameters
        ----------
        index : int
            Position in the pack.

        Returns
        -------
        torch.nn.Sequential
            ``Linear, ReLU[, Dropout], ..., Linear`` with copies of the member's weights.
        """
        modules = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            fan_in, fan_out = weight.shape[1:]
            linear = nn.Linear(fan_in, fan_out, device=weight.device)
            with torch.no_grad():
                linear.weight.copy_(weight[index].t())
                linear.bias.copy_(bias[index, 0])
            modules += [linear, nn.ReLU(), nn.Dropout(self.dropout)] if self.dropout else [linear, nn.ReLU()]
        return nn.Sequential(*modules[: -2 if self.dropout else -1])


def contiguous_rows(x: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and classes whose rows lie one after the other in memory, for each member."""
    x = x if x.stride()[1:] == (x.shape[2], 1) else x.contiguous()
    return x, targets if targets.stride(1) == 1 else targets.contiguous()


def dropout_masks(
    generators: Sequence[torch.Generator], probability: float, depth: int, batch: int, width: int
) -> torch.Tensor:
    """Draw the dropout masks of one step, each member's from its own generator.

    Parameters
    ----------
    generators : sequence of torch.Generator, length S
        Each member's generator on the CPU.
    probability : float
        Probability of dropping a unit.
    depth, batch, width : int
        Number of weight layers, rows in the batch, hidden width.

    Returns
    -------
    Tensor of float32, shape (S, depth - 1, batch, width)
        1 where a unit is kept, 0 where it is dropped.
    """
    return keep_units(generators, probability, (depth - 1, batch, width))
