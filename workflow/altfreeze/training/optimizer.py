"""The optimizer of a cell, and its learning rate."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim.adamw import adamw

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.study.cell import Cell
from altfreeze.training.network import StackedMLP, StackedNetwork, contiguous_rows
from altfreeze.training.networks import compiled

# the decorators of torch's optimizers would load its compiler, which is not used and as slow to import as torch
for _method in vars(torch.optim.Optimizer).values():
    if hasattr(_method, "__wrapped__"):
        vars(_method.__wrapped__).setdefault("__dynamo_disable", _method.__wrapped__)


# of Newton and Schulz, quintic; https://kellerjordan.github.io/posts/muon/
_COEFFICIENTS, _ITERATIONS, _SMALLEST_NORM = (3.4445, -4.7750, 2.0315), 5, 1e-7


def orthogonalise(updates: torch.Tensor) -> torch.Tensor:
    """Bring the singular values of matrices near 1.

    Parameters
    ----------
    updates : Tensor, shape (matrices, rows, columns)

    Returns
    -------
    Tensor, shape (matrices, rows, columns)
        Each matrix as `torch.optim.Muon` has it, but in float32, where that computes in bfloat16.
    """
    if updates.shape[1] > updates.shape[2]:
        return orthogonalise(updates.transpose(1, 2)).transpose(1, 2)
    a, b, c = _COEFFICIENTS
    x = updates / updates.norm(dim=(1, 2), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(_ITERATIONS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class StackedMuon(torch.optim.Optimizer):
    """Muon for the weights of all layers but the last, and AdamW for all other parameters, of each member of a stack.

    An update of Muon has about the size of one of AdamW (Liu et al., 2025, https://arxiv.org/abs/2502.16982: the
    learning rate times 0.2 times the root of the larger of rows and columns), so that both have the same learning rate
    and weight decay. All else is as in `torch.optim.Muon` and `torch.optim.AdamW` with their defaults.

    Parameters
    ----------
    groups : list of dict
        ``params`` of each group.
    others : sequence of torch.nn.Parameter
        Those of them that AdamW has, beside all that are no matrices.
    lr, weight_decay : float
    """

    def __init__(
        self, groups: list[dict[str, Any]], others: Sequence[torch.Tensor], lr: float | None, weight_decay: float
    ) -> None:
        momenta = {"momentum": 0.95, "betas": (0.9, 0.999), "eps": 1e-8}
        # as of AdamW, for the device that its step counts are loaded to
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "fused": True, **momenta})
        known = {id(parameter) for parameter in others}
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        # the first dimension is that of the members
        matrices = [each for each in parameters if each.ndim > 2 and min(each.flatten(2).shape[1:]) > 1]
        self.matrices = {id(parameter) for parameter in matrices} - known

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make one step with the gradients that are there."""
        directions: dict[int, torch.Tensor] = {}
        by_shape: dict[tuple[int, ...], list[torch.Tensor]] = {}
        for parameter in (each for group in self.param_groups for each in group["params"]):
            if id(parameter) in self.matrices and parameter.grad is not None:
                by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
        # layers of one shape as one stack
        for alike in by_shape.values():
            momenta = torch.cat([self._momentum(parameter) for parameter in alike])
            parts = orthogonalise(momenta).split(alike[0].shape[0])
            directions |= {id(parameter): part for parameter, part in zip(alike, parts, strict=True)}
        for group in self.param_groups:
            for parameter in (each for each in group["params"] if id(each) in directions):
                size = 0.2 * max(parameter.flatten(2).shape[1:]) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(directions[id(parameter)].view_as(parameter), alpha=-group["lr"] * size)
            self._step_adamw(group)

    def _momentum(self, parameter: torch.Tensor) -> torch.Tensor:
        """Move a parameter's momentum by its gradient; return that of Nesterov, shape (S, rows, columns)."""
        state, share = self.state[parameter], 1 - self.defaults["momentum"]
        assert parameter.grad is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].lerp_(parameter.grad, share)
        return parameter.grad.lerp(buffer, self.defaults["momentum"]).flatten(2)

    def _step_adamw(self, group: dict[str, Any]) -> None:
        parameters = [each for each in group["params"] if id(each) not in self.matrices and each.grad is not None]
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state |= {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        columns = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        first, second, steps = columns
        if parameters:
            adamw(
                parameters,
                [each.grad for each in parameters],
                first,
                second,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )


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
        All of them act element by element or matrix by matrix, thus on each member of a stack alone.
    """
    parameters: Any = network.parameters()
    if by_layer:
        parameters = [{"params": network.layer(index)} for index in range(network.depth)]
    if cell.optimizer == "muon":
        groups = parameters if by_layer else [{"params": list(parameters)}]
        return StackedMuon(groups, network.layer(network.depth - 1), cell.learning_rate, cell.weight_decay)
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
    if _is_compiled(optimizer, parameters):
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
        See `altfreeze.training.networks.compiled.addresses`.
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
    """Return what an optimizer of `make_optimizer` is set to, as `compiled.update` takes it."""
    options = optimizer.param_groups[0]
    if "betas" in options:
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        return np.array([*options["betas"], options["eps"], options["weight_decay"], decoupled], dtype=np.float64)
    return np.array([-1, options["momentum"], options["weight_decay"], 0, 0], dtype=np.float64)


def are_made_at_once(network: StackedNetwork, optimizer: torch.optim.Optimizer) -> bool:
    """Return whether `make_at_once` serves: steps are compiled, and draw no dropout masks."""
    return isinstance(network, StackedMLP) and not network.dropout and _is_compiled(optimizer, network.parameters())


def _is_compiled(optimizer: torch.optim.Optimizer, parameters: Iterable[torch.Tensor]) -> bool:
    return compiled.serves(parameters) and not isinstance(optimizer, StackedMuon)


def make_at_once(
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
