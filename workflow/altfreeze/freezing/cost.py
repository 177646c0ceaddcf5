"""Cost of training steps in floating-point operations, exact integers.

A multiplication and an addition count as one operation each, as in
`torch.utils.flop_counter.FlopCounterMode`; only matrix products are counted.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple


class Layer(NamedTuple):
    """What a layer of any network has, and what it costs for each row, in operations.

    Layers follow one another, so that whatever is frozen, a step costs the sum of what it does in each.

    Attributes
    ----------
    parameters : int
        Numbers that it learns.
    forward, weight, input : int
        Of its output, and of the gradients of its parameters and of its input.
    inner : int
        Of the gradients that those of its parameters need, where those of its input need them, too: 0 of one product.
    """

    parameters: int
    forward: int
    weight: int
    input: int
    inner: int = 0


def dense_layers(sizes: Sequence[int]) -> list[Layer]:
    """Return the layers of an MLP: each has one product, and gradients of weight and input that cost the same.

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        Number of features, widths of the hidden layers, number of classes.

    Returns
    -------
    list of Layer, length depth
    """
    return [
        Layer((fan_in + 1) * fan_out, *[flops] * 3)
        for (fan_in, fan_out), flops in zip(itertools.pairwise(sizes), layer_flops(sizes, 1), strict=True)
    ]


def _layers(network: Sequence[int] | Sequence[Layer]) -> Sequence[Layer]:
    return network if isinstance(network[0], Layer) else dense_layers(network)  # type: ignore[return-value, arg-type]


def layer_flops(sizes: Sequence[int], batch: int) -> list[int]:
    """Return the operations of one product with each layer's weight.

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        Number of features, widths of the hidden layers, number of classes.
    batch : int
        Rows in the batch.

    Returns
    -------
    list of int, length depth
        f_l = 2 * batch * in_l * out_l for layer l.
    """
    return [2 * batch * fan_in * fan_out for fan_in, fan_out in itertools.pairwise(sizes)]


def step_flops(network: Sequence[int] | Sequence[Layer], batch: int, active: Sequence[bool], cached: int = 0) -> int:
    """Return the operations of one training step of one network.

    FLOPs = sum of f_l over the layers that are not cached (forward)
    + sum of f_l over the active layers (weight gradients)
    + sum of f_l over the layers above the lowest active one (input gradients).

    With F = sum of f_l, the bottom k layers' share r of F and f_l counted from 1:
    standard training costs 3 F - f_1, a frozen bottom (3 - 2 r) F - f_{k+1}, a
    frozen top (2 + r) F - f_1. A cached bottom costs (3 - 3 r) F - f_{k+1}, beside
    its fill (`fill_flops`). In a network of other layers, each of the three has a cost
    of its own, and the lowest active layer needs some gradients inside of it (`Layer`).

    Parameters
    ----------
    network : sequence of int, length depth + 1, or of Layer, length depth
        Number of features, widths of the hidden layers and number of classes of an MLP, or the layers of any network.
    batch : int
        Rows in the batch.
    active : sequence of bool, length depth
        Which layers learn, bottom first.
    cached : int
        Number of frozen layers from the bottom whose output is read, not computed.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If no layer is active, an active one is cached, or `active` does not have one
        entry per layer.
    """
    layers = _layers(network)
    if len(active) != len(layers):
        raise ValueError(f"active has {len(active)} entries for {len(layers)} layers")
    if not any(active):
        raise ValueError("no layer is active")
    lowest = list(active).index(True)
    if cached > lowest:
        raise ValueError(f"{cached} layers are cached, but layer {lowest + 1} is active")
    forward = sum(layer.forward for layer in layers[cached:])
    weight_gradients = sum(layer.weight for layer, learns in zip(layers, active, strict=True) if learns)
    input_gradients = layers[lowest].inner + sum(layer.input for layer in layers[lowest + 1 :])
    return batch * (forward + weight_gradients + input_gradients)


def orthogonalise_flops(sizes: Sequence[int], active: Sequence[bool]) -> int:
    """Return the operations of orthogonalising one network's updates, as the optimizer muon does.

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        Number of features, widths of the hidden layers, number of classes.
    active : sequence of bool, length depth
        Which layers have a gradient, bottom first.

    Returns
    -------
    int
        Five iterations of products of a x b by b x a, a x a by a x a and a x a by a x b, a <= b, for each
        active layer but the last whose weight has more than one row and column.
    """
    shapes = [sorted(shape) for shape in itertools.pairwise(sizes)][:-1]
    each = [5 * (4 * a * a * b + 2 * a**3) if a > 1 else 0 for a, b in shapes]
    return sum(flops for flops, learns in zip(each, list(active)[:-1], strict=True) if learns)


def fill_flops(network: Sequence[int] | Sequence[Layer], rows: int, start: int, stop: int) -> int:
    """Return the operations of computing the output of some layers for a whole train part.

    Parameters
    ----------
    network : sequence of int or of Layer
        See `step_flops`.
    rows : int
        Rows of the train part.
    start, stop : int
        The layers from `start` up to but without `stop` are computed, counted from 0.

    Returns
    -------
    int
        What their forward passes cost.
    """
    return rows * sum(layer.forward for layer in _layers(network)[start:stop])
