"""What the keys of a configuration demand of one another, and of the folder that the workflow is called in."""

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.study.entries import labelled
from altfreeze.study.mistakes import Mistake, quoted

_LONGEST_FILE_NAME = 255
# folders of git, of environments and of Snakemake itself
_NOT_FOR_RESULTS = (".git", ".venv", ".snakemake", ".conda", "__pycache__")
_CHECKS: list[Callable[..., Iterator[Mistake]]] = []


def _check(function: Callable[..., Iterator[Mistake]]) -> Callable[..., Iterator[Mistake]]:
    """Register a check; its parameters are the keys that it reads."""
    _CHECKS.append(function)
    return function


@_check
def _results_are_apart(results: str) -> Iterator[Mistake]:
    here = Path.cwd()
    folder = Path(os.path.normpath(here / results))
    mistake = None
    if folder in (here, *here.parents):
        mistake = "is the folder of the workflow, or one around it; allowed: another folder"
    elif folder.is_relative_to(here / "workflow"):
        mistake = "holds the workflow itself; allowed: another folder"
    elif used := [part for part in folder.parts if part in _NOT_FOR_RESULTS]:
        mistake = f"lies in {used[0]}, a folder of other programs; allowed: another folder"
    elif any(len(os.fsencode(part)) > _LONGEST_FILE_NAME for part in folder.parts):
        mistake = f"has a name of more than {_LONGEST_FILE_NAME} bytes; allowed: shorter names"
    if mistake:
        yield ("results",), f"{quoted(results)} {mistake}"


@_check
def _data_sets_have_sources(datasets: list[str], sources: dict[str, Any]) -> Iterator[Mistake]:
    for position, name in enumerate(datasets):
        if name == "all":
            yield ("datasets", position), '"all" means all data sets in the tables; allowed: any other name'
        elif name not in sources:
            allowed = ", ".join(sources)
            yield ("datasets", position), f"{quoted(name)} has no entry in sources; allowed: {allowed}"


@_check
def _ratios_differ_in_labels(freeze_ratios: list[float]) -> Iterator[Mistake]:
    if len({f"{ratio:g}" for ratio in freeze_ratios}) < len(freeze_ratios):
        sentence = "has ratios alike in six digits; allowed: ratios that differ"
        yield ("freeze_ratios",), f"{quoted(freeze_ratios)} {sentence}"


@_check
def _labels_are_no_other_name(strategies: list[Any]) -> Iterator[Mistake]:
    labels = [(place, entry) for place, entry in enumerate(strategies) if isinstance(entry, dict) and "label" in entry]
    for position, entry in labels:
        label, others = entry["label"], [name for name in STRATEGIES if name != entry["name"]]
        if any(re.fullmatch(rf"{name}(-[\d.e-]+)?", label) for name in others):
            sentence = "is another strategy's; allowed: a label that is no name"
            yield ("strategies", position, "label"), f"{quoted(label)} {sentence}"


@_check
def _labels_stand_once(
    strategies: list[Any], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[Mistake]:
    labels = ["standard", *(label for label, _ in labelled(strategies, freeze_ratios, primary_freeze_ratio))]
    twice = dict.fromkeys(f"{quoted(label)} stands twice" for label in labels if labels.count(label) > 1)
    if twice:
        sentence = "(standard is always trained); allowed: each once, or entries with a label that differs"
        yield ("strategies",), f"{', '.join(twice)} {sentence}"


@_check
def _primary_comparison_is_trained(
    strategies: list[Any], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[Mistake]:
    labels = [label for label, _ in labelled(strategies, freeze_ratios, primary_freeze_ratio)]
    primary = f"alternating-{primary_freeze_ratio:g}"
    if primary_freeze_ratio in freeze_ratios and primary not in labels:
        sentence = "which the primary comparison is about, is not among them; allowed: a list with alternating in it"
        yield ("strategies",), f"{primary}, {sentence}"


@_check
def _primary_ratio_is_one_of_them(primary_freeze_ratio: float, freeze_ratios: list[float]) -> Iterator[Mistake]:
    if primary_freeze_ratio not in freeze_ratios:
        allowed = ", ".join(map(str, freeze_ratios))
        sentence = f"is not one of freeze_ratios; allowed: {allowed}"
        yield ("primary_freeze_ratio",), f"{quoted(primary_freeze_ratio)} {sentence}"


@_check
def _primary_depth_is_one_of_them(primary_depth: int, depths: list[int]) -> Iterator[Mistake]:
    if primary_depth not in depths:
        allowed = ", ".join(map(str, depths))
        yield ("primary_depth",), f"{quoted(primary_depth)} is not one of depths; allowed: {allowed}"


@_check
def _family_is_trained(
    family: list[str], strategies: list[Any], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[Mistake]:
    labels = [label for label, _ in labelled(strategies, freeze_ratios, primary_freeze_ratio)]
    for position, label in enumerate(family):
        if label not in labels:
            sentence = f"is not the label of a strategy; allowed: {', '.join(labels)}"
            yield ("family", position), f"{quoted(label)} {sentence}"


def contradictions(config: dict[str, Any], wrong: set[str]) -> Iterator[Mistake]:
    """Yield the path of each key that does not go with others, with a sentence on it.

    Parameters
    ----------
    config : dict
        Complete configuration, each key right by itself.
    wrong : set of str
        Keys of which something else is wrong already: no check reads them.
    """
    for check in _CHECKS:
        keys = inspect.signature(check).parameters
        if not wrong & keys.keys():
            told = list(check(**{key: config[key] for key in keys}))
            yield from told
            wrong = wrong | {path[0] for path, _ in told}
