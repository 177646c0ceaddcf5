"""Freezing schedules that were published, each with its source and what was adapted."""

import math
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from altfreeze.freezing.schedules import only, shuffled, standard
from altfreeze.freezing.strategy import Count, Position, Ratio, strategy


def _groups(depth: int, size: int) -> list[range]:
    """Return the layers in contiguous groups of a size, the last of which may be smaller."""
    return [range(start, min(start + size, depth)) for start in range(0, depth, size)]


def _in_turn(groups: list[range], turn: int, order: str, seed: int, draw: int) -> range:
    """Return the group whose turn it is within a sweep over all groups."""
    if order == "random":
        return groups[shuffled(seed, draw, len(groups))[turn]]
    return groups[turn] if order in ("ascending", "bottom2up") else groups[-1 - turn]


@strategy(state_on_thaw="keep")
def progressive(
    position: Position, depth: int, *, freeze_start: Annotated[float, Ge(0), Lt(1)] = 0.5, freeze_level: Ratio = 1.0
) -> tuple[float, ...]:
    """Freeze the layers from the bottom up, at a constant rate: Composer's Layer Freezing.

    Parameters
    ----------
    position, depth
        See `alternating`.
    freeze_start : float
        Share of the training before freezing begins, 0 to below 1.
    freeze_level : float
        Share of the layers but the last that the ramp reaches at the end, 0 to 1.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    With s the share of the training done when the epoch starts, the first
    floor(freeze_level * (s - freeze_start) / (1 - freeze_start) * (depth - 1)) layers are
    frozen, none before freeze_start; the last layer always learns.

    Source: MosaicML Composer, ``LayerFreezing`` with its defaults,
    https://docs.mosaicml.com/projects/composer/en/latest/api_reference/generated/composer.algorithms.LayerFreezing.html
    and composer/algorithms/layer_freezing/layer_freezing.py. As there, layers freeze
    between epochs only. Adapted: Composer counts every module with parameters as a layer,
    here a layer is a weight layer with its bias. Not copied: Composer warns that its
    frozen layers do not reliably survive resuming from a checkpoint; here they follow
    from the position.
    """
    done = position.epoch * position.steps_per_epoch / position.horizon
    share = freeze_level * max(0.0, done - freeze_start) / (1 - freeze_start)
    # Without the margin, rounding would freeze a layer an epoch late where the ramp meets a whole number.
    frozen = int(share * (depth - 1) + 1e-9)
    return only(range(frozen, depth), depth)


@strategy(state_on_thaw="keep", anneals=True)
def freezeout(
    position: Position,
    depth: int,
    *,
    t_0: Annotated[float, Gt(0), Le(1)] = 0.8,
    how: Literal["linear", "cubic"] = "cubic",
    scaled: bool = True,
) -> tuple[float, ...]:
    """Anneal each layer's learning rate to 0 by a cosine, the bottom layer's first: FreezeOut.

    Parameters
    ----------
    position, depth
        See `alternating`.
    t_0 : float
        Share of the training at which the bottom layer freezes, above 0 to 1; before
        it is cubed, if `how` is 'cubic'.
    how : {'linear', 'cubic'}
        Whether the layers' t_i are equally spaced or the cubes of such.
    scaled : bool
        Whether layer i starts from the learning rate divided by t_i, so that the sum
        of its learning rates does not depend on i.

    Returns
    -------
    tuple of float, length `depth`
        Factors can be above 1 if `scaled`.

    Notes
    -----
    Layer i of 0 .. L, L = depth - 1, has
    alpha_i(t) = 0.5 * alpha_i(0) * (1 + cos(pi * t / t_i)) and is frozen from t = t_i on,
    with t the share of the training done, t_i = s(t_0 + (1 - t_0) * i / L), s the identity
    or the cube, and alpha_i(0) = alpha / t_i if scaled, else alpha.

    Source: Brock, Lim, Ritchie and Weston (2017), the schedules of Figure 1,
    https://arxiv.org/abs/1706.04983; defaults of https://github.com/ajbrock/FreezeOut
    (train.py), whose README adds the factor 0.5 that the paper's formula lacks. Adapted:
    t is counted in steps of this training (there an epoch counts as 1000 steps, whatever
    the data). Not copied: update_lr of vgg.py never increments the counter of steps, so that
    no layer of that network anneals or freezes.
    """
    t = position.elapsed / position.horizon
    ends = [(t_0 + (1 - t_0) * layer / (depth - 1)) ** (3 if how == "cubic" else 1) for layer in range(depth)]
    return tuple(0.5 * (1 + math.cos(math.pi * t / end)) / (end if scaled else 1.0) if t < end else 0.0 for end in ends)


@strategy(state_on_thaw="reset")
def block_cyclic(
    position: Position,
    depth: int,
    *,
    switch_every: Count = 50,
    order: Literal["ascending", "descending", "random"] = "descending",
    layers_per_block: Count = 1,
) -> tuple[float, ...]:
    """One block of layers learns at a time, with a new optimizer state each time: BAdam.

    Parameters
    ----------
    position, depth
        See `alternating`.
    switch_every : int
        Steps of a block before the next one's turn; K in the paper.
    order : {'ascending', 'descending', 'random'}
        Of the blocks in a sweep: from the bottom, from the top, or a random permutation,
        drawn anew for each sweep.
    layers_per_block : int
        Contiguous layers in a block; the last block may have fewer.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Luo, Yu and Li (2024), Algorithm 1, https://arxiv.org/abs/2404.02827; defaults of
    BlockOptimizer in https://github.com/Ledzy/BAdam (src/badam/block_optim.py). Adapted:
    blocks of weight layers take the place of transformer layers, and the first and the
    last layer belong to a block like all others. State is reset when a layer thaws, so
    not where a block's turn follows its own: with a single block, or where a random sweep
    begins with the block that ended the last; the paper resets there too. Not copied:
    step() asks for (steps made + 1) % K, which gives the first block K - 1 steps.
    """
    blocks = _groups(depth, layers_per_block)
    sweep, turn = divmod(position.elapsed // switch_every, len(blocks))
    return only(_in_turn(blocks, turn, order, position.seed, sweep), depth)


@strategy(state_on_thaw="reset")
def lisa(position: Position, depth: int, *, layers: Count = 2, switch_every: Count = 20) -> tuple[float, ...]:
    """The first, the last and a few random layers between them learn: LISA.

    Parameters
    ----------
    position, depth
        See `alternating`.
    layers : int
        Number of inner layers that learn, gamma in the paper; all if there are fewer.
    switch_every : int
        Steps before the inner layers are drawn anew; K in the paper.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Pan et al. (2024), Algorithm 1, https://arxiv.org/abs/2403.17919; defaults of
    https://github.com/OptimalScale/LMFlow (lisa_activated_layers, lisa_interval_steps).
    Adapted: the first and the last weight layer take the place of the embedding and the
    head. State is reset when a layer thaws, while a layer drawn twice in a row keeps its
    own; by LMFlow issue 729, the paper's experiments restarted training at each draw. Not
    copied: by LMFlow issue 726, its first versions gave the optimizer only the layers
    that learned when it was made, so that layers drawn later never changed.
    """
    drawn = shuffled(position.seed, position.elapsed // switch_every, depth - 2)[:layers]
    return only({0, depth - 1, *(layer + 1 for layer in drawn)}, depth)


@strategy(state_on_thaw="keep")
def gradual_unfreezing(position: Position, depth: int, *, epochs_per_layer: Count = 1) -> tuple[float, ...]:
    """The last layer learns first, then one more layer from above at a time: ULMFiT.

    Parameters
    ----------
    position, depth
        See `alternating`.
    epochs_per_layer : int
        Epochs before the next lower layer joins.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Howard and Ruder (2018), section 3.3, https://arxiv.org/abs/1801.06146. Adapted:
    a weight layer takes the place of a layer group, the network is not pretrained, and
    the paper's other methods (discriminative fine-tuning, slanted triangular learning
    rates) are left out. A training of fewer than depth * epochs_per_layer epochs ends
    before the bottom layer has had its epochs. Not copied: the authors' script
    (fastai, courses/dl2/imdb_scripts/train_clas.py) thaws only the last two groups
    one by one and then all others at once, unlike the paper.
    """
    return only(range(max(0, depth - 1 - position.epoch // epochs_per_layer), depth), depth)


@strategy(state_on_thaw="reset")
def chain_thaw(position: Position, depth: int) -> tuple[float, ...]:
    """The last layer learns, then each other one alone from the first, then all: chain-thaw.

    Parameters
    ----------
    position, depth
        See `standard`.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Felbo et al. (2017), section 3.3 and Figure 2, https://arxiv.org/abs/1708.00524;
    order of train_by_chain_thaw in https://github.com/bfelbo/DeepMoji
    (deepmoji/finetuning.py), which makes a new optimizer for each stage. Adapted: the
    depth + 1 stages have equal shares of the training, up to a step, as a pure schedule
    cannot wait for convergence on the validation set; a training of fewer steps than stages
    leaves stages out. The best weights of a stage are not restored at its end. State is
    reset when a layer thaws, so the last but one layer keeps its own when all others join.
    Not copied: chain_thaw takes the learning rates of the stages but does not pass them
    on, so that only their defaults are ever used; here the configured learning rate holds.
    """
    stage = position.elapsed * (depth + 1) // position.horizon
    if stage == depth:
        return standard(position, depth)
    return only({(stage - 1) % depth}, depth)


def _sweep_start(position: Position, depth: int, *, layers_per_group: Count = 1, **_: Any) -> Position:
    """Return the position of the first step of a sweep over all groups of `hift`."""
    first = position.elapsed - position.elapsed % len(_groups(depth, layers_per_group))
    epoch, step = divmod(first, position.steps_per_epoch)
    return position._replace(epoch=epoch, step=step)


@strategy(state_on_thaw="keep", learning_rate_from=_sweep_start)
def hift(
    position: Position,
    depth: int,
    *,
    layers_per_group: Count = 1,
    order: Literal["bottom2up", "top2down", "random"] = "bottom2up",
) -> tuple[float, ...]:
    """Another group of layers learns at each step, in turn: HiFT.

    All groups of a sweep have the learning rate of its first step.

    Parameters
    ----------
    position, depth
        See `alternating`.
    layers_per_group : int
        Contiguous layers in a group; the last group may have fewer. m in the paper.
    order : {'bottom2up', 'top2down', 'random'}
        Of the groups in a sweep: from the bottom, from the top, or a random permutation,
        drawn once for the whole training.

    Returns
    -------
    tuple of float, length `depth`

    Notes
    -----
    Source: Liu et al. (2024), Algorithm 1, https://arxiv.org/abs/2401.15207; defaults of
    HiFTrainer in https://github.com/misonsky/HiFT (hift/trainer.py). As in the paper, each
    group keeps its optimizer state between its turns. Adapted: groups are fixed and
    contiguous, while the code takes the next m layers of a queue, so that its groups
    shift from sweep to sweep where m does not divide their number, and shuffles layers,
    not groups. Not copied: the code advances a learning-rate schedule planned for all
    steps only once per sweep, so that training ends early on it (here it is read at the
    sweep's first step); it takes floor(n / m) steps for a sweep, though ceil(n / m) groups
    are needed; and hift/registerCallBack.py does not import the module that order
    'random' calls.
    """
    groups = _groups(depth, layers_per_group)
    return only(_in_turn(groups, position.elapsed % len(groups), order, position.seed, 0), depth)
