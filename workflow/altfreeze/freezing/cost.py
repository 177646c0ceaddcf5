"""Cost of training steps in floating-point operations, exact integers.

A multiplication and an addition count as one operation each, as in
`torch.utils.flop_counter.FlopCounterMode`; only matrix products are counted.
"""

import itertools
from collections.abc import Sequence


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


def step_flops(sizes: Sequence[int], batch: int, active: Sequence[bool], cached: int = 0) -> int:
    """Return the operations of one training step of one network.

    FLOPs = sum of f_l over the layers that are not cached (forward)
    + sum of f_l over the active layers (weight gradients)
    + sum of f_l over the layers above the lowest active one (input gradients).

    With F = sum of f_l, the bottom k layers' share r of F and f_l counted from 1:
    standard training costs 3 F - f_1, a frozen bottom (3 - 2 r) F - f_{k+1}, a
    frozen top (2 + r) F - f_1. A cached bottom costs (3 - 3 r) F - f_{k+1}, beside
    its fill (`fill_flops`).

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        Number of features, widths of the hidden layers, number of classes.
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
    flops = layer_flops(sizes, batch)
    if len(active) != len(flops):
        raise ValueError(f"active has {len(active)} entries for {len(flops)} layers")
    if not any(active):
        raise ValueError("no layer is active")
    lowest = list(active).index(True)
    if cached > lowest:
        raise ValueError(f"{cached} layers are cached, but layer {lowest + 1} is active")
    weight_gradients = sum(f for f, learns in zip(flops, active, strict=True) if learns)
    return sum(flops[cached:]) + weight_gradients + sum(flops[lowest + 1 :])


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


def fill_flops(sizes: Sequence[int], rows: int, start: int, stop: int) -> int:
    """Return the operations of computing the output of some layers for a whole train part.

    Parameters
    ----------
    sizes : sequence of int, length depth + 1
        Number of features, widths of the hidden layers, number of classes.
    rows : int
        Rows of the train part.
    start, stop : int
        The layers from `start` up to but without `stop` are computed, counted from 0.

    Returns
    -------
    int
        The sum of their f_l.
    """
    return sum(layer_flops(sizes, rows)[start:stop])
