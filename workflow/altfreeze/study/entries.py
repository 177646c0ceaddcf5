"""Entries of the key strategies: what each may state, by its schedule's signature, and the labels it stands for."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required

from pydantic import Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.freezing.written import Phase
from altfreeze.study.values import STRICT, Name

# parameters without a value of their own or of the configuration
_NEEDED: dict[str, Any] = {
    "phases": Required[Annotated[list[with_config(STRICT)(Phase)], Field(min_length=1)]]  # type: ignore[misc]
}
# strategies that can be named without
_BARE = [name for name, strategy in STRATEGIES.items() if _NEEDED.keys().isdisjoint(strategy.parameters)]


def _type_of(name: str) -> Any:
    """Return the type of an entry that names a strategy: a dict of its parameters, optional but for those needed."""
    keys = {"name": Required[Literal[name]], "label": Name} | STRATEGIES[name].parameters
    keys |= {key: needed for key, needed in _NEEDED.items() if key in keys}
    if "freeze_ratio" in keys:
        keys["freeze_ratio"] |= Literal["primary"]
    entry = TypedDict(name, keys, total=False)  # type: ignore[misc]
    entry.__doc__ = (STRATEGIES[name].schedule.__doc__ or "").partition("\n")[0]
    return with_config(STRICT)(entry)


def _form(entry: Any) -> str:
    return "name" if isinstance(entry, str) else "entry"


if TYPE_CHECKING:
    Entry = str | dict[str, Any]
else:
    Entry = Annotated[
        Annotated[Literal[*_BARE], Tag("name")]
        | Annotated[reduce(or_, map(_type_of, STRATEGIES)), Field(discriminator="name"), Tag("entry")],
        Discriminator(_form),
    ]


def _label(given: dict[str, Any]) -> str:
    """Return the label of an entry that states none: its name and, of phases, what they are."""
    if given["name"] != "phases":
        return given["name"]
    unit = given.get("unit", "share")
    parts = [
        f"{'_'.join(str(phase['layers']).split())}_for_{phase['for']:g}"
        + (f"_{unit}{'s' * (phase['for'] != 1)}" if unit != "share" else "")
        + (f"_at_{phase['factor']:g}" if phase.get("factor", 1) != 1 else "")
        for phase in given["phases"]
    ]
    return "+".join([f"phases-{parts[0]}", *parts[1:], *["repeat"] * given.get("repeat", False)])


def labelled(
    strategies: list[str | dict[str, Any]], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the label of every strategy but standard, and its name with the parameters that its entry states.

    Parameters
    ----------
    strategies, freeze_ratios, primary_freeze_ratio
        As in the configuration.
    """
    for entry in strategies:
        given = {"name": entry} if isinstance(entry, str) else dict(entry)
        label = given.pop("label", None) or _label(given)
        if "freeze_ratio" not in STRATEGIES[given["name"]].parameters:
            yield label, given
            continue
        stated = given.get("freeze_ratio")
        ratios = {None: freeze_ratios, "primary": [primary_freeze_ratio]}.get(stated, [stated])
        for ratio in ratios:
            yield f"{label}-{ratio:g}", given | {"freeze_ratio": ratio}
