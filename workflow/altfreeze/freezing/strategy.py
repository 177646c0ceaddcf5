"""The registry of strategies: a schedule under a name, with what it demands of budget, optimizer state and rate.

A schedule is a pure function of the position in training. It returns one factor of the
learning rate per layer, bottom first: 0 where the layer is frozen. To add a strategy, decorate its schedule with
`strategy` and name it under ``strategies`` in the configuration.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

RATIO = {"type": "number", "minimum": 0, "maximum": 1}
COUNT = {"type": "integer", "minimum": 1}
GROUP = {"enum": ["bottom", "top"]}
UNIT = {"enum": ["epoch", "step"]}


class Position(NamedTuple):
    """A point in training; all counts start at 0.

    ``horizon`` is the number of steps of the whole training. ``seed`` is that of the
    schedule's own random stream, which all runs of a cell share: they are trained as one
    stack, and its layers freeze together.
    """

    epoch: int
    step: int
    steps_per_epoch: int
    horizon: int
    seed: int = 0

    @property
    def elapsed(self):
        """Steps made before this one."""
        return self.epoch * self.steps_per_epoch + self.step


class Strategy(NamedTuple):
    """A schedule and what else a strategy decides.

    Attributes
    ----------
    schedule : callable
        ``schedule(position, depth, **parameters)`` to a tuple of float, length `depth`.
    parameters : dict of str to dict
        Each parameter's JSON schema.
    budget : {'epochs', 'half_updates', 'matched_flops'}
        How long it trains: see `altfreeze.freezing.plan.horizon`.
    state_on_thaw : {'keep', 'reset', 'decay', None}
        What happens to a layer's optimizer state when it thaws, if it ever does; None:
        what the configuration says.
    anneals : bool
        Whether its factors are a learning-rate schedule of their own, which takes the
        place of the configured one.
    learning_rate_from : callable
        ``learning_rate_from(position, depth, **parameters)`` to the position whose
        learning rate holds at `position`.
    """

    schedule: Callable
    parameters: dict
    budget: str
    state_on_thaw: str | None
    anneals: bool
    learning_rate_from: Callable


STRATEGIES = {}


def _here(position, depth, **parameters):
    return position


def strategy(parameters=None, *, budget="epochs", state_on_thaw=None, anneals=False, learning_rate_from=_here):
    """Register a schedule as the strategy of its name; the arguments are those of `Strategy`."""

    def register(schedule):
        STRATEGIES[schedule.__name__] = Strategy(
            schedule, parameters or {}, budget, state_on_thaw, anneals, learning_rate_from
        )
        return schedule

    return register


def defaults(name):
    """Return the parameters that a strategy does not need to be told, with their values.

    Parameters
    ----------
    name : str
        A key of `STRATEGIES`.

    Returns
    -------
    dict
    """
    signature = inspect.signature(STRATEGIES[name].schedule)
    return {
        key: parameter.default
        for key, parameter in signature.parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def factors(chosen, position, depth):
    """Return the learning-rate factor of each layer under a named strategy.

    Parameters
    ----------
    chosen : dict
        ``name``, a key of `STRATEGIES`, and that schedule's own parameters.
    position : Position
        The step that is about to be made.
    depth : int
        Number of weight layers.

    Returns
    -------
    tuple of float, length `depth`
        0 where the layer is frozen.
    """
    return STRATEGIES[chosen["name"]].schedule(position, depth, **_parameters(chosen))


def learning_rate_position(chosen, position, depth):
    """Return the position whose learning rate holds at `position`; see `factors` and `Strategy`."""
    return STRATEGIES[chosen["name"]].learning_rate_from(position, depth, **_parameters(chosen))


def _parameters(chosen):
    return {key: value for key, value in chosen.items() if key != "name"}
