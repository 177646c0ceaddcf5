"""The registry of strategies: a schedule under a name, with what it demands of budget, optimizer state and rate.

A schedule is a pure function of the position in training. It returns one factor of the
learning rate per layer, bottom first: 0 where the layer is frozen, `MASKED` where its update is
dropped. To add a strategy, decorate its schedule with `strategy` and name it under ``strategies`` in
the configuration.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Le

# types of parameters, with their bounds: what a study may state is checked against a schedule's own signature
Ratio = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Group = Literal["bottom", "top"]
Unit = Literal["epoch", "step"]

# the factor of a layer that is neither frozen nor updated: it has a gradient, which moves its optimizer state, but its
# update is dropped. It is not the 0 of a frozen layer, nor so small that a job takes it for that, as it does with
# subnormal numbers; times any learning rate it is 0 in float32
MASKED = 1e-300

Schedule = Callable[..., tuple[float, ...]]


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
    def elapsed(self) -> int:
        """Steps made before this one."""
        return self.epoch * self.steps_per_epoch + self.step


class History(NamedTuple):
    """What was observed of a training, epoch by epoch: norms over all runs that decide together.

    Attributes
    ----------
    gradients : tuple of tuple of float, shape (epochs, depth)
        Of each layer's gradient in the last step of an epoch; NaN where it did not learn.
    changes : tuple of tuple of float, shape (epochs, depth)
        Of what an epoch added to a layer's parameters; NaN where it did not learn.
    """

    gradients: tuple[tuple[float, ...], ...] = ()
    changes: tuple[tuple[float, ...], ...] = ()


class Strategy(NamedTuple):
    """A schedule and what else a strategy decides.

    Attributes
    ----------
    schedule : callable
        ``schedule(position, depth, **parameters)`` to a tuple of float, length `depth`; of an adaptive strategy,
        ``schedule(position, depth, history, **parameters)``.
    parameters : dict of str to type
        Each parameter's annotation in the signature of the schedule.
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
    adaptive : bool
        Whether its plan is decided while it trains, by a `History`. It then freezes between epochs alone, and for
        good.
    """

    schedule: Schedule
    parameters: dict[str, Any]
    budget: str
    state_on_thaw: str | None
    anneals: bool
    learning_rate_from: Callable[..., Position]
    adaptive: bool


STRATEGIES: dict[str, Strategy] = {}


def _here(position: Position, depth: int, **parameters: Any) -> Position:
    return position


def strategy(
    *,
    budget: str = "epochs",
    state_on_thaw: str | None = None,
    anneals: bool = False,
    learning_rate_from: Callable[..., Position] = _here,
    adaptive: bool = False,
) -> Callable[[Schedule], Schedule]:
    """Register a schedule as the strategy of its name; the arguments are those of `Strategy`.

    The schedule's parameters are its arguments by keyword alone: their annotations are what a study may
    state, their defaults what holds where it states nothing.
    """

    def register(schedule: Schedule) -> Schedule:
        signature = inspect.signature(schedule)
        parameters = {
            name: parameter.annotation
            for name, parameter in signature.parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        STRATEGIES[schedule.__name__] = Strategy(
            schedule, parameters, budget, state_on_thaw, anneals, learning_rate_from, adaptive
        )
        return schedule

    return register


def defaults(name: str) -> dict[str, Any]:
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


def in_words(parameters: dict[str, Any]) -> str:
    """Return names and values as text: ``freeze_ratio 0.5, period 1``; of phases, ``layers 1-3 for 0.3, then ...``.

    Parameters
    ----------
    parameters : dict
        Of a strategy; its name is left out.
    """

    def text(value: Any) -> str:
        if isinstance(value, list):
            return ", then ".join(" ".join(f"{name} {text(part)}" for name, part in each.items()) for each in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    # each phase begins with its own names
    named = {key: f"{key} " * (not isinstance(value, list)) + text(value) for key, value in parameters.items()}
    return ", ".join(words for key, words in named.items() if key != "name")


def factors(
    chosen: dict[str, Any], position: Position, depth: int, history: History | None = None
) -> tuple[float, ...]:
    """Return the learning-rate factor of each layer under a named strategy.

    Parameters
    ----------
    chosen : dict
        ``name``, a key of `STRATEGIES`, and that schedule's own parameters.
    position : Position
        The step that is about to be made.
    depth : int
        Number of weight layers.
    history : History, optional
        What an adaptive strategy decides by; without it, nothing was observed yet.

    Returns
    -------
    tuple of float, length `depth`
        0 where the layer is frozen, `MASKED` where its update is dropped.
    """
    strategy = STRATEGIES[chosen["name"]]
    observed = [history or History()] if strategy.adaptive else []
    return strategy.schedule(position, depth, *observed, **_parameters(chosen))


def learning_rate_position(chosen: dict[str, Any], position: Position, depth: int) -> Position:
    """Return the position whose learning rate holds at `position`; see `factors` and `Strategy`."""
    return STRATEGIES[chosen["name"]].learning_rate_from(position, depth, **_parameters(chosen))


def _parameters(chosen: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in chosen.items() if key != "name"}
