"""Entries of the key strategies: what each may state, by its schedule's signature, and the labels it stands for."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required

from pydantic import Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.study.values import STRICT, Name


def _type_of(name: str) -> Any:
    """Return the type of an entry that names a strategy: a dict of its parameters, all optional."""
    keys = {"name": Required[Literal[name]], "label": Name} | STRATEGIES[name].parameters
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
        Annotated[Literal[*STRATEGIES], Tag("name")]
        | Annotated[reduce(or_, map(_type_of, STRATEGIES)), Field(discriminator="name"), Tag("entry")],
        Discriminator(_form),
    ]


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
        label = given.pop("label", given["name"])
        if "freeze_ratio" not in STRATEGIES[given["name"]].parameters:
            yield label, given
            continue
        stated = given.get("freeze_ratio")
        ratios = {None: freeze_ratios, "primary": [primary_freeze_ratio]}.get(stated, [stated])
        for ratio in ratios:
            yield f"{label}-{ratio:g}", given | {"freeze_ratio": ratio}
