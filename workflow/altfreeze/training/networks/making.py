"""Networks of a cell: made by a factory, checked before anything trains, counted, and stacked."""

import copy
import functools
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from altfreeze.freezing.cost import Layer
from altfreeze.freezing.plan import Workload
from altfreeze.study.cell import Cell
from altfreeze.support.errors import InputError
from altfreeze.support.messages import reason
from altfreeze.training.network import StackedMLP, StackedNetwork
from altfreeze.training.networks.built_in import FACTORIES
from altfreeze.training.networks.stack import StackedLayers

# members are faster in a loop than stacked, on a CPU, if there are fewer, or if a layer of one has more parameters and
# outputs for a batch, which then no longer stay in the processor's cache; measured by benchmarks/benchmark_networks.py
FEWEST_STACKED, LARGEST_STACKED = 3, 2**16
# rows of the batches that a network is tried with
_ROWS = 3


class Blueprint(NamedTuple):
    """All that a factory is called with, and its name."""

    network: str
    shape: tuple[int, ...]
    classes: int
    depth: int
    width: int
    normalisation: str | None

    @property
    def where(self) -> str:
        """Begin a sentence on what is wrong with it."""
        return f"network: {self.network}, called with {(self.shape, self.classes, self.depth, self.width)}"


class Described(NamedTuple):
    """A network's layers: the shape of what goes into each, how many numbers these are, what they cost, and buffers."""

    shapes: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    layers: tuple[Layer, ...]
    buffered: bool


def _blueprint(cell: Cell, features: int, classes: int) -> Blueprint:
    shape = tuple(cell.shape or [features])
    if math.prod(shape) != features:
        raise InputError(
            f"data set {cell.dataset}: shape {list(shape)} is of {math.prod(shape)} numbers, but a row has {features} "
            f"features; allowed: a shape of {features}"
        )
    return Blueprint(cell.network, shape, classes, cell.depth, cell.width, cell.normalisation)


def _factory(blueprint: Blueprint) -> Callable[..., nn.Module]:
    """Return the factory of a network, called with the input's shape, classes, depth and width."""
    if blueprint.network in FACTORIES:
        return functools.partial(FACTORIES[blueprint.network], normalisation=blueprint.normalisation or "none")
    module, _, name = blueprint.network.partition(":")
    # where a job starts otherwise than by python -m
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(f"network: {blueprint.network} cannot be imported: {reason(error)}") from error


def _make(blueprint: Blueprint, seed: int) -> nn.Module:
    """Return a network with the initial weights of a seed, which no other draw disturbs or follows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            made = _factory(blueprint)(*blueprint[1:5])
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{blueprint.where}, fails: {reason(error)}") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{blueprint.where}, returns a {type(made).__name__}; allowed: a torch.nn.Module")
    return made


def _learns(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _layers_of(module: nn.Module) -> list[nn.Module]:
    """Return a network's layers: its children in order; one without parameters belongs to the layer below it."""
    groups: list[list[nn.Module]] = [[]]
    # not children(), which leaves out one that stands twice
    for child in filter(None, module._modules.values()):
        # what stands before the first parameters belongs to their layer
        if _learns(child) and any(map(_learns, groups[-1])):
            groups.append([])
        groups[-1].append(child)
    return [group[0] if len(group) == 1 else nn.Sequential(*group) for group in groups]


def _mistakes(module: nn.Module, layers: Sequence[nn.Module], blueprint: Blueprint) -> str:
    """Return what is wrong with the structure of a network, empty if nothing is."""
    found = sum(map(_learns, layers))
    if found != blueprint.depth:
        return (
            f"has {found} layers, which are its children with parameters; allowed: depth, {blueprint.depth} "
            "(children of an nn.Sequential count as one)"
        )
    tensors = [{id(each) for each in [*layer.parameters(), *layer.buffers()]} for layer in layers]
    if len(set().union(*tensors)) < sum(map(len, tensors)):
        return "shares parameters or buffers between layers; allowed: layers that freeze by themselves"
    if {id(each) for each in [*module.parameters(), *module.buffers()]} - set().union(*tensors):
        return "has parameters or buffers outside of its layers; allowed: in its children alone"
    return ""


def _tried(module: nn.Module, layers: Sequence[nn.Module], blueprint: Blueprint) -> tuple[list[tuple[int, ...]], str]:
    """Return the shapes between the layers, the last the output's, and what is wrong with them, empty if nothing is."""
    x = torch.randn(_ROWS, *blueprint.shape, generator=torch.Generator().manual_seed(0))
    shapes = [blueprint.shape]
    with torch.no_grad():
        expected, out = module.eval()(x), x
        if not isinstance(expected, torch.Tensor) or expected.shape != (_ROWS, blueprint.classes):
            found = tuple(expected.shape) if isinstance(expected, torch.Tensor) else type(expected).__name__
            return [], f"puts out {found} for {_ROWS} rows; allowed: {(_ROWS, blueprint.classes)}"
        for layer in layers:
            out = layer(out)
            if not isinstance(out, torch.Tensor) or len(out) != _ROWS:
                return [], "has a layer that does not put out one tensor of as many rows; allowed: layers that do"
            shapes.append(tuple(out.shape[1:]))
    if out.shape != expected.shape or not torch.allclose(out, expected, rtol=1e-4, atol=1e-5):
        return (
            [],
            "does not compute its layers one after the other; allowed: the output of each is the input of the next",
        )
    return shapes, ""


def _try_stack(blueprint: Blueprint, layers: Sequence[nn.Module], stack: StackedLayers) -> str:
    """Return why the members of a network cannot be stacked, empty if they can."""
    x = torch.randn(2, _ROWS, math.prod(blueprint.shape), generator=torch.Generator().manual_seed(0))
    stack(x)
    stack.compute_gradients(x, torch.zeros(2, _ROWS, dtype=torch.int64))
    alone = stack.member(1).eval()(x[1].view(_ROWS, *blueprint.shape))
    if not torch.allclose(stack(x)[1], alone, rtol=1e-3, atol=1e-4):
        return "it computes other numbers in a stack than alone"
    return ""


@functools.lru_cache(maxsize=64)
def describe(blueprint: Blueprint) -> Described:
    """Return what a network's layers take and cost; a network that cannot be trained here is refused.

    Parameters
    ----------
    blueprint : Blueprint

    Returns
    -------
    Described

    Raises
    ------
    InputError
        With one line on what is wrong.
    """
    one, again = _make(blueprint, 0), _make(blueprint, 0)
    layers = _layers_of(one)
    if mistake := _mistakes(one, layers, blueprint):
        raise InputError(f"{blueprint.where}, {mistake}")
    same = all(map(torch.equal, one.state_dict().values(), again.state_dict().values()))
    if one is again or not same:
        raise InputError(
            f"{blueprint.where}, returns no new network, or not that of torch's seed; allowed: one that is"
        )
    try:
        shapes, mistake = _tried(one, layers, blueprint)
        if mistake:
            raise InputError(f"{blueprint.where}, {mistake}")
        sizes = [math.prod(shape) for shape in shapes]
        members = [layers, _layers_of(_make(blueprint, 1))]
        mistake = _try_stack(blueprint, layers, StackedLayers(members, shapes[:-1], sizes))
        counted = tuple(_count(layer, shape) for layer, shape in zip(layers, shapes, strict=False))
    except InputError:
        raise
    except Exception as error:
        mistake = reason(error)
    if mistake:
        raise InputError(f"{blueprint.where}, cannot be trained here: {mistake}")
    return Described(tuple(shapes[:-1]), tuple(sizes), counted, any(True for _ in one.buffers()))


def _count(layer: nn.Module, shape: tuple[int, ...]) -> Layer:
    """Return what a layer costs for each row, as `torch.utils.flop_counter.FlopCounterMode` counts it."""
    costs = [_count_rows(layer, shape, rows) for rows in (_ROWS, 2 * _ROWS)]
    per_row = [cost // _ROWS for cost in costs[0]]
    if costs[1] != [2 * _ROWS * cost for cost in per_row]:
        raise ValueError("its operations are not proportional to the rows of a batch")
    return Layer(sum(parameter.numel() for parameter in layer.parameters()), *per_row)


def _count_rows(layer: nn.Module, shape: tuple[int, ...], rows: int) -> list[int]:
    """Return the operations of a batch: forward, of the gradients of parameters and input, and of those inside."""
    from torch.utils.flop_counter import FlopCounterMode

    layer = copy.deepcopy(layer).to("meta").train()

    def count(learns: bool, passes: bool) -> int:
        layer.requires_grad_(learns)
        x = torch.empty(rows, *shape, device="meta").requires_grad_(passes)
        with FlopCounterMode(display=False) as counter:
            out = layer(x)
            if learns or passes:
                out.sum().backward()
        return counter.get_total_flops()

    forward = count(False, False)
    whole, parameters, through = (count(*which) - forward for which in ((True, True), (True, False), (False, True)))
    weight = whole - through
    return [forward, weight, through, parameters - weight]


def workload_of_network(cell: Cell, features: int, classes: int, rows: int) -> Workload:
    """Return what the runs of a cell of another network than the MLP work on.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
    features, classes, rows : int
        Numbers in a row, classes, and rows of the train part.

    Returns
    -------
    altfreeze.freezing.plan.Workload

    Raises
    ------
    InputError
        If the network cannot be trained on them; see `describe`.
    """
    described = describe(_blueprint(cell, features, classes))
    made = Workload(described.sizes, rows, cell.batch_size, described.layers, buffered=described.buffered)
    if cell.normalisation == "batch" and made.batches[-1] == 1:
        raise InputError(
            f"batch_size: {cell.batch_size} leaves one of {rows} rows for the last batch, which has no variance to "
            "normalise by; allowed: another batch_size, or another normalisation"
        )
    return made


def largest_layer(workload: Workload) -> int:
    """Return the parameters and the outputs for a batch of the layer of a network that has most of both.

    Parameters
    ----------
    workload : altfreeze.freezing.plan.Workload
    """
    outputs = [workload.batch_size * size for size in workload.sizes[1:]]
    return max(layer.parameters + of_batch for layer, of_batch in zip(workload.layers, outputs, strict=True))


def make_network(cell: Cell, workload: Workload, seeds: Sequence[int], device: str | torch.device) -> StackedNetwork:
    """Return the networks of a pack with their initial weights.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
    workload : altfreeze.freezing.plan.Workload
    seeds : sequence of int, length S
        Seed of each member's initial weights.
    device : str or torch.device

    Returns
    -------
    altfreeze.training.network.StackedNetwork
    """
    if cell.network == "mlp":
        return StackedMLP(workload.sizes, seeds, cell.dropout).to(device)
    blueprint = _blueprint(cell, workload.sizes[0], workload.sizes[-1])
    members = [_layers_of(_make(blueprint, seed)) for seed in seeds]
    slow = len(seeds) < FEWEST_STACKED or largest_layer(workload) > LARGEST_STACKED
    loop = torch.device(device).type == "cpu" and slow
    shapes = describe(blueprint).shapes
    frozen = cell.frozen_normalisation == "train"
    return StackedLayers(members, shapes, workload.sizes, cell.dropout, frozen, loop).to(device)
