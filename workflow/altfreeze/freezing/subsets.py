"""Published schedules in which a subset of the layers is updated: drawn at each step, or the same throughout."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from altfreeze.freezing.schedules import only, standard
from altfreeze.freezing.strategy import MASKED, Count, Position, strategy


def _drawn(position: Position, period: int) -> np.random.Generator:
    """Return the generator of the draw that holds for some steps."""
    return np.random.default_rng([position.seed, position.elapsed // period])


@strategy(state_on_thaw="keep")
def random_suffix(position: Position, depth: int, *, switch_every: Count = 1) -> tuple[float, ...]:
    """The layers from a random one up learn: Drop-Muon, randomized progressive training.

    Parameters
    ----------
    position, depth
        See `alternating`.
    switch_every : int
        Steps before the lowest layer that learns is drawn anew.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    The lowest layer that learns is uniform over all layers, so that layer l of 1 .. depth learns in a share l / depth
    of the steps, and the last in all of them; nothing below it is computed backwards.

    Source: Gruntkowska, Maziane, Qu and Richtarik (2025), Drop-Muon, https://arxiv.org/abs/2510.02239, whose
    experiments draw the index uniformly, after Szlendak, Gasanov and Richtarik (2023),
    https://arxiv.org/abs/2306.03626. Abstracts and a figure's caption were read, no code. Adapted: it is a schedule
    for any optimizer; theirs is the one with ``optimizer: muon``. What learns has the full learning rate, with no
    factor for how rarely it does. Nothing of theirs is known to be wrong.
    """
    return only(range(int(_drawn(position, switch_every).integers(depth)), depth), depth)


@strategy(state_on_thaw="keep")
def reservoir(position: Position, depth: int, *, every: Annotated[int, Ge(2)] = 2) -> tuple[float, ...]:
    """Layers at regular intervals keep their initial weights throughout: reservoir transformers.

    Parameters
    ----------
    position, depth
        See `alternating`.
    every : int
        Each layer whose number it divides is frozen, but the last.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Without such a layer, as in two layers, this is standard training.

    Source: Shen et al. (2021), https://arxiv.org/abs/2012.15045, where frozen layers stand between those that learn.
    Abstract and introduction were read. Adapted: a weight layer takes the place of a transformer layer, and a frozen
    one has the initialisation of all others (the paper tries other kinds of reservoirs, too). As there, what is frozen
    passes gradients on, since a layer below it learns.
    """
    return only([layer for layer in range(depth) if (layer + 1) % every or layer == depth - 1], depth)


@strategy(state_on_thaw="keep")
def segment(
    position: Position, depth: int, *, part: Literal["lower", "middle", "upper"] = "middle"
) -> tuple[float, ...]:
    """One contiguous third of the layers learns throughout, and the last layer: surgical fine-tuning.

    Parameters
    ----------
    position, depth
        See `alternating`.
    part : {'lower', 'middle', 'upper'}
        Which third of the layers but the last; at least one layer.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Lee et al. (2023), https://arxiv.org/abs/2210.11466: tuning one contiguous block of a pretrained network can
    match or beat tuning all of it, and which one depends on how the data shifted. The abstract was read. Adapted: the
    network is not pretrained, so the other layers keep random weights, the last layer learns in any case, and the data
    do not shift. It asks how much a segment can make of layers that never learned.
    """
    inner, number = depth - 1, ["lower", "middle", "upper"].index(part)
    first = min(number * inner // 3, inner - 1)
    return only([*range(first, max(first + 1, (number + 1) * inner // 3)), depth - 1], depth)


@strategy(state_on_thaw="keep")
def masked(position: Position, depth: int, *, probability: Annotated[float, Gt(0), Le(1)] = 0.5) -> tuple[float, ...]:
    """Each layer's update is dropped at random, its optimizer state goes on, those kept are scaled up: SkipUpdate.

    Parameters
    ----------
    position, depth
        See `standard`.
    probability : float
        Of keeping a layer's update, p; above 0 to 1. What is kept has the learning rate times 1 / p.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    A dropped layer is `altfreeze.freezing.strategy.MASKED` and not frozen: its gradient is computed and paid for, its
    momenta and step count move on, and its weights stay bit for bit, weight decay included.

    Source: Joo, Xia, Kim, Zhang and Ie (2026), SkipUpdate, https://arxiv.org/abs/2602.15322: a Bernoulli mask for each
    block of parameters and step, updates scaled by 1 / p, dense moments; p = 1/2 in their experiments. The abstract and
    a summary were read. Adapted: a layer with its bias is a block, and any optimizer takes the place of RMSProp; the
    draws are shared by the seeds of a cell. Left out: their variant Magma, which scales by the alignment of momentum
    and gradient. Nothing of theirs is known to be wrong.
    """
    kept = _drawn(position, 1).random(depth) < probability
    return standard(position, depth) if probability == 1 else tuple(1 / probability if k else MASKED for k in kept)
