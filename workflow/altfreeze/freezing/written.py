"""A schedule that is written down: phases one after the other, each with the layers that learn in it."""

import bisect
import functools
import itertools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal, Required

from annotated_types import Gt
from typing_extensions import TypedDict

from altfreeze.freezing.strategy import Position, strategy

# `for` is no name of a field
Phase = TypedDict(
    "Phase",
    {
        "layers": Required[int | str],
        "for": Required[Annotated[float, Gt(0)]],
        "factor": Annotated[float, Gt(0)],
    },
    total=False,
)
PhaseUnit = Literal["share", "epoch", "step"]


@functools.lru_cache(maxsize=256)
def layers_of(named: int | str, depth: int) -> frozenset[int]:
    """Return the layers that a phase names, counted from 0.

    Parameters
    ----------
    named : int or str
        ``all``, or numbers and ranges from 1, the bottom layer, with a blank between: ``1-3 5``. ``last`` is the
        last layer at any depth: ``4-last``.
    depth : int
        Number of layers.

    Returns
    -------
    frozenset of int

    Raises
    ------
    ValueError
        In words that say what is wrong and what is allowed.
    """
    layers: set[int] = set()
    text = str(named).strip()
    for part in re.sub("^all$", "1-last", text).split():
        match = re.fullmatch(r"(\d{1,4}|last)(?:-(\d{1,4}|last))?", part)
        if match is None:
            if part == "none":
                continue
            raise ValueError("names no layers; allowed: all, or numbers and ranges as 1-3 5 or 4-last")
        first, last = (depth if end == "last" else int(end) for end in (match[1], match[2] or match[1]))
        unknown = [layer for layer in (first, last) if not 1 <= layer <= depth]
        if unknown:
            raise ValueError(f"names layer {unknown[0]}, unknown at depth {depth}; allowed: 1 to {depth}")
        if first > last:
            raise ValueError(f"names no layer by {part} at depth {depth}; allowed: the lower layer first")
        layers.update(range(first - 1, last))
    if not layers:
        raise ValueError("freezes all layers; allowed: at least one that learns")
    return frozenset(layers)


def phase_at(position: Position, phases: Sequence[Phase], unit: PhaseUnit, repeat: bool) -> int:
    """Return the number of the phase that a step belongs to, counted from 0.

    Parameters
    ----------
    position : Position
    phases, unit, repeat
        See `altfreeze.freezing.written.phases`.
    """
    elapsed = Fraction(position.elapsed, position.horizon if unit == "share" else 1)
    now = Fraction(position.epoch) if unit == "epoch" else elapsed
    # exact: in floats, 0.1 + 0.2 is more than 0.3
    ends = list(itertools.accumulate(Fraction(str(phase["for"])) for phase in phases))
    if repeat:
        now %= ends[-1]
    return min(bisect.bisect_right(ends, now), len(phases) - 1)


@strategy()
def phases(
    position: Position, depth: int, *, phases: list[Phase], unit: PhaseUnit = "share", repeat: bool = False
) -> tuple[float, ...]:
    """The layers that a list of phases names learn, one phase after the other.

    Parameters
    ----------
    position, depth
        See `altfreeze.freezing.schedules.standard`.
    phases : list of dict
        ``layers`` that learn (see `layers_of`), ``for`` how long in `unit` and, if it is not 1, the ``factor`` of the
        learning rate. The last phase lasts until the training ends.
    unit : {'share', 'epoch', 'step'}
        What ``for`` is counted in: shares of the training, epochs or steps. A step belongs to the phase in which it
        begins.
    repeat : bool
        Whether the list begins anew after its last phase.

    Returns
    -------
    tuple of float, length `depth`
    """
    phase = phases[phase_at(position, phases, unit, repeat)]
    learning = layers_of(phase["layers"], depth)
    return tuple(float(phase.get("factor", 1)) if layer in learning else 0.0 for layer in range(depth))
