"""The optimizer of a cell, and its learning rate."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.study.cell import Cell
from altfreeze.training import compiled
from altfreeze.training.network import StackedMLP, StackedNetwork, contiguous_rows

# the decorators of torch's optimizers would load its compiler, which is not used and as slow to import as torch
for _method in vars(torch.optim.Optimizer).values():
    if hasattr(_method, "__wrapped__"):
        vars(_method.__wrapped__).setdefault("__dynamo_disable", _method.__wrapped__)


def make_optimizer(network: StackedNetwork, cell: Cell, by_layer: bool = False) -> torch.optim.Optimizer:
    """Return the optimizer of a cell; it is made once and lives through all phases.

    Parameters
    ----------
    network : altfreeze.training.network.StackedNetwork
    cell : altfreeze.study.cell.Cell
    by_layer : bool
        Whether each layer has a group of parameters, and so a learning rate, of its own.

    Returns
    -------
    torch.optim.Optimizer
        All of them act element by element, thus on each member of a stack alone.
    """
    parameters: Any = network.parameters()
    if by_layer:
        parameters = [{"params": network.layer(index)} for index in range(network.depth)]
    common: dict[str, Any] = {"lr": cell.learning_rate, "weight_decay": cell.weight_decay, "fused": True}
    if cell.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=cell.momentum or 0.0, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cell.optimizer](parameters, **common)


def learning_rate(cell: Cell, progress: float) -> float:
    """Return the learning rate after a share of the training.

    ``cosine`` decays over the strategy's own budget as lr (1 + cos(pi progress)) / 2
    (Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, equation 5 with a
    minimum of 0 and no restart). A strategy that anneals by its factors starts from the
    configured rate throughout.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
    progress : float
        Share of the training's steps that were made, 0 to 1.

    Returns
    -------
    float
    """
    # who trains has chosen it
    assert cell.learning_rate is not None
    if cell.learning_rate_schedule == "constant" or STRATEGIES[cell.strategy["name"]].anneals:
        return cell.learning_rate
    return cell.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def update_of(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Return the optimizer's step, compiled where that serves.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer

    Returns
    -------
    callable
        Makes one step with the gradients that are there.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if compiled.serves(parameters):
        counts = np.array([parameter.numel() for parameter in parameters])
        return functools.partial(_update, optimizer, parameters, counts)
    # without hooks and a profiler's marks
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    return functools.partial(step, optimizer)


def _update(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor], counts: np.ndarray) -> None:
    """Make the step of an optimizer of `make_optimizer`, whose state stays its own."""
    rates = np.array([group["lr"] for group in optimizer.param_groups for _ in group["params"]])
    compiled.update(tensors_of(optimizer, parameters), counts, rates, options_of(optimizer))


def tensors_of(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor]) -> np.ndarray:
    """Return where parameters, gradients and the states of an optimizer lie, which begin as torch begins them.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Of `make_optimizer`.
    parameters : sequence of Tensor

    Returns
    -------
    ndarray of int64, shape (2 and states, parameters)
        See `altfreeze.training.compiled.addresses`.
    """
    options = optimizer.param_groups[0]
    names = (
        ("exp_avg", "exp_avg_sq", "step") if "betas" in options else ("momentum_buffer",) * bool(options["momentum"])
    )
    nothing: dict[str, torch.Tensor] = {}
    states = [nothing if each.grad is None else optimizer.state[each] for each in parameters]
    for parameter, state in zip(parameters, states, strict=True):
        if state is not nothing and names and not state:
            state.update((name, torch.zeros(()) if name == "step" else torch.zeros_like(parameter)) for name in names)
    return compiled.addresses(parameters, *([state.get(name) for state in states] for name in names))


def options_of(optimizer: torch.optim.Optimizer) -> np.ndarray:
    """Return what an optimizer of `make_optimizer` is set to, as `altfreeze.training.compiled.update` takes it."""
    options = optimizer.param_groups[0]
    if "betas" in options:
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        return np.array([*options["betas"], options["eps"], options["weight_decay"], decoupled], dtype=np.float64)
    return np.array([-1, options["momentum"], options["weight_decay"], 0, 0], dtype=np.float64)


def are_made_at_once(network: StackedNetwork) -> bool:
    """Return whether `make_steps` serves: steps of this network are compiled, and draw no dropout masks."""
    return isinstance(network, StackedMLP) and not network.dropout and compiled.serves(network.parameters())


def make_steps(
    network: StackedNetwork,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    targets: torch.Tensor,
    start: int,
    rows: Sequence[int],
    rates: Sequence[Sequence[float]],
) -> torch.Tensor:
    """Make steps one after the other in one call, to the bits of single ones.

    Parameters
    ----------
    network : altfreeze.training.network.StackedMLP
        One whose steps `are_made_at_once`.
    optimizer : torch.optim.Optimizer
        Its own, of `make_optimizer`.
    x : Tensor, shape (S, rows of all steps, inputs of layer `start`)
    targets : Tensor of int64, shape (S, rows of all steps)
    start : int
        The frozen layers below this one, counted from 0, are not computed: `x` is their output.
    rows : sequence of int
        In the batch of each step.
    rates : sequence of sequence of float
        For each step the learning rate of each layer, or one for all.

    Returns
    -------
    Tensor, shape (S, rows of all steps)
        Cross-entropy of each row.
    """
    assert isinstance(network, StackedMLP)
    parameters = [parameter for layer in network.layers for parameter in layer]
    compiled.set_gradients(parameters)
    x, targets = contiguous_rows(x, targets)
    losses = torch.empty(targets.shape)
    of_each = np.array(rates)
    compiled.make_steps(
        tensors_of(optimizer, parameters),
        network.sizes,
        start,
        x.data_ptr(),
        x.stride(0),
        targets.data_ptr(),
        targets.stride(0),
        np.array([parameter.numel() for parameter in parameters]),
        of_each.repeat(len(parameters) // of_each.shape[1], axis=1),
        options_of(optimizer),
        np.array(rows),
        losses.numpy(),
    )
    return losses
