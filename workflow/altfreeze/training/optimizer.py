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
from altfreeze.training.network import StackedNetwork

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
    options = optimizer.param_groups[0]
    names = (
        ("exp_avg", "exp_avg_sq", "step") if "betas" in options else ("momentum_buffer",) * bool(options["momentum"])
    )
    nothing: dict[str, torch.Tensor] = {}
    states = [nothing if each.grad is None else optimizer.state[each] for each in parameters]
    for parameter, state in zip(parameters, states, strict=True):
        if state is not nothing and names and not state:
            # as torch begins it
            state.update((name, torch.zeros(()) if name == "step" else torch.zeros_like(parameter)) for name in names)
    tensors = compiled.addresses(parameters, *([state.get(name) for state in states] for name in names))
    if "betas" in options:
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        compiled.adam(tensors, counts, rates, *options["betas"], options["eps"], options["weight_decay"], decoupled)
    else:
        compiled.sgd(tensors, counts, rates, options["momentum"], options["weight_decay"])
