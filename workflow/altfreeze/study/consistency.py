"""What the keys of a configuration demand of one another, and of the folder that the workflow is called in."""

import inspect
import itertools
import os
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES, Position, defaults
from altfreeze.freezing.written import layers_of, phase_at
from altfreeze.study.entries import labelled
from altfreeze.study.grid import FIRST_CALIBRATION_SEED, Study
from altfreeze.study.mistakes import KeyPath, Mistake, quoted
from altfreeze.study.recipes import TUNED, name_of, varied
from altfreeze.study.sources import shape_of
from altfreeze.vocabulary import NETWORKS, PANELS

_LONGEST_FILE_NAME = 255
# of a recipe's name, which files are named by
_LONGEST_RECIPE = 200
# of a strategy's, which stands in tables too; a freeze ratio is written behind it
_LONGEST_LABEL = 80
# folders of git, of environments and of Snakemake itself
_NOT_FOR_RESULTS = (".git", ".venv", ".snakemake", ".conda", "__pycache__")
# what a network may be normalised over; a factory does as it likes
NORMALISATIONS = {
    "cnn": ["none", "batch", "layer"],
    "resnet": ["none", "batch", "layer"],
    "transformer": ["none", "layer"],
}
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
        if name in PANELS:
            yield (
                ("datasets", position),
                f"{quoted(name)} means several in the tables; allowed: any other name",
            )
        elif name not in sources:
            allowed = ", ".join(sources)
            yield ("datasets", position), f"{quoted(name)} has no entry in sources; allowed: {allowed}"


@_check
def _primary_data_sets_are_trained(primary_datasets: str | list[str], datasets: list[str]) -> Iterator[Mistake]:
    for position, name in enumerate(primary_datasets if isinstance(primary_datasets, list) else ()):
        if name not in datasets:
            allowed = ", ".join(datasets)
            yield ("primary_datasets", position), f"{quoted(name)} is not one of datasets; allowed: {allowed}"


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


def _are_all(layers: int | str, depth: int) -> bool:
    try:
        return len(layers_of(layers, depth)) == depth
    except ValueError:
        # which is told by itself
        return False


@_check
def _phases_can_be(strategies: list[Any], depths: list[int]) -> Iterator[Mistake]:
    for position, entry in enumerate(strategies):
        if not isinstance(entry, dict) or entry["name"] != "phases":
            continue
        path: KeyPath = ("strategies", position)
        unit, phases = entry.get("unit", "share"), entry["phases"]
        for number, phase in enumerate(phases):
            try:
                [layers_of(phase["layers"], depth) for depth in depths]
            except ValueError as error:
                yield (*path, "phases", number, "layers"), f"{quoted(phase['layers'])} {error}"
            if unit != "share" and phase["for"] % 1:
                yield (
                    (*path, "phases", number, "for"),
                    f"{phase['for']:g} is no number of {unit}s; allowed: a whole number",
                )
        total = sum(Fraction(str(phase["for"])) for phase in phases)
        if unit == "share" and total > 1:
            yield (*path, "phases"), f"its shares of the training add up to {float(total):g}; allowed: 1 at most"
        for depth in depths:
            if all(phase.get("factor", 1) == 1 and _are_all(phase["layers"], depth) for phase in phases):
                sentence = f"is standard training at depth {depth}, which is always trained"
                yield (*path, "phases"), f"{sentence}; allowed: a phase that freezes a layer"
                break


@_check
def _labels_are_short(
    strategies: list[Any], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[Mistake]:
    for label, _ in labelled(strategies, freeze_ratios, primary_freeze_ratio):
        if len(label) > _LONGEST_LABEL:
            sentence = f"is a label of more than {_LONGEST_LABEL} characters; allowed: an entry with a label of its own"
            yield ("strategies",), f"{quoted(label)} {sentence}"


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
def _seeds_are_not_those_of_calibration(seeds: int, first_seed: int) -> Iterator[Mistake]:
    if first_seed + seeds > FIRST_CALIBRATION_SEED:
        allowed = f"0 to {FIRST_CALIBRATION_SEED - seeds}, as calibration's seeds begin at {FIRST_CALIBRATION_SEED}"
        yield ("first_seed",), f"{first_seed} is too large for {seeds} seeds; allowed: {allowed}"


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
def _primary_level_is_one_of_them(primary_level: float, target_levels: list[float]) -> Iterator[Mistake]:
    if primary_level not in target_levels:
        allowed = ", ".join(map(str, target_levels))
        yield ("primary_level",), f"{quoted(primary_level)} is not one of target_levels; allowed: {allowed}"


@_check
def _family_is_trained(
    family: list[str], strategies: list[Any], freeze_ratios: list[float], primary_freeze_ratio: float
) -> Iterator[Mistake]:
    labels = [label for label, _ in labelled(strategies, freeze_ratios, primary_freeze_ratio)]
    for position, label in enumerate(family):
        if label not in labels:
            sentence = f"is not the label of a strategy; allowed: {', '.join(labels)}"
            yield ("family", position), f"{quoted(label)} {sentence}"


@_check
def _variations_have_names(variations: list[dict[str, Any]]) -> Iterator[Mistake]:
    for position, variation in enumerate(variations):
        if len(name_of(variation)) > _LONGEST_RECIPE:
            sentence = f"has a name of more than {_LONGEST_RECIPE} characters; allowed: fewer changes"
            yield ("variations", position), f"{quoted(variation)} {sentence}"


@_check
def _rates_are_tried_where_tuned(
    learning_rate: float | str, variations: list[dict[str, Any]], learning_rates_to_try: list[float]
) -> Iterator[Mistake]:
    rates: dict[KeyPath, Any] = {("learning_rate",): learning_rate}
    for place, variation in enumerate(variations):
        rates["variations", place, "learning_rate"] = variation.get("learning_rate")
    tuned = [path for path, rate in rates.items() if rate == TUNED]
    if tuned and not learning_rates_to_try:
        yield tuned[0], '"tuned" chooses among learning_rates_to_try, which is empty; allowed: a list of some there'


def _recipes_of(primary: dict[str, Any], variations: list[dict[str, Any]]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield where some keys are set together, and to what: in the primary recipe, and in what changes one of them."""
    yield (), primary
    for place, variation in enumerate(variations):
        if primary.keys() & variation.keys():
            yield ("variations", place), primary | variation


@_check
def _networks_fit(
    network: str,
    normalisation: str,
    variations: list[dict[str, Any]],
    datasets: list[str],
    sources: dict[str, Any],
) -> Iterator[Mistake]:
    for path, recipe in _recipes_of({"network": network, "normalisation": normalisation}, variations):
        name, allowed = recipe["network"], NORMALISATIONS.get(recipe["network"], ["none"])
        if recipe["normalisation"] not in allowed:
            where = f"is nothing that {quoted(name)} reads; allowed with it: {', '.join(allowed)}"
            yield (*path, "normalisation"), f"{quoted(recipe['normalisation'])} {where}"
        for dataset in datasets if name in NETWORKS and name != "mlp" else ():
            shape = shape_of(sources[dataset])
            if len(shape or [0]) not in ((2, 3) if name != "resnet" else (1, 2, 3)):
                has = f"the shape {shape}" if shape else "no shape"
                yield (
                    (*path, "network"),
                    f"{quoted(name)} takes channels and one or two sides, and {dataset} has {has}; "
                    f"allowed: other networks or data sets, or a `shape` in sources.{dataset}",
                )
                break


@_check
def _muon_has_an_mlp(network: str, optimizer: str, variations: list[dict[str, Any]]) -> Iterator[Mistake]:
    for path, recipe in _recipes_of({"network": network, "optimizer": optimizer}, variations):
        if recipe["optimizer"] == "muon" and recipe["network"] != "mlp":
            sentence = "needs the network mlp, of which its operations are known; allowed: sgd, adam, adamw"
            yield (*path, "optimizer"), f'"muon" {sentence}'
            break


def _ratios(config: dict[str, Any]) -> Iterator[Mistake]:
    """Yield the ratios that split no network, or one as another does."""
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in config["strategies"]]
    takes = {
        place: entry for place, entry in enumerate(entries) if "freeze_ratio" in STRATEGIES[entry["name"]].parameters
    }
    stated = {("strategies", place, "freeze_ratio"): entry.get("freeze_ratio") for place, entry in takes.items()}
    used: dict[KeyPath, Any] = {path: ratio for path, ratio in stated.items() if ratio not in (None, "primary")}
    if None in stated.values():
        used |= {("freeze_ratios", place): ratio for place, ratio in enumerate(config["freeze_ratios"])}
    for path, ratio in used.items():
        if ratio in (0, 1):
            sentence = "is standard training, which is always trained; allowed: a ratio between 0 and 1"
            yield path, f"{quoted(ratio)} {sentence}"
            continue
        for depth in config["depths"]:
            bottom = split_index(ratio, depth)
            if bottom in (0, depth):
                sentence = f"leaves {bottom} of {depth} layers in the bottom group, so nothing would be frozen in turn"
                yield path, f"{quoted(ratio)} {sentence}; allowed: a ratio that splits every depth"
                break
    if config["primary_freeze_ratio"] in (0, 1):
        sentence = "is standard training, which the primary comparison is with; allowed: a ratio between 0 and 1"
        yield ("primary_freeze_ratio",), f"{quoted(config['primary_freeze_ratio'])} {sentence}"
    listed = [used[path] for path in used if path[0] == "freeze_ratios" and used[path] not in (0, 1)]
    for one, other in itertools.combinations(listed, 2):
        same = [depth for depth in config["depths"] if split_index(one, depth) == split_index(other, depth)]
        if same:
            sentence = f"both leave {split_index(one, same[0])} of {same[0]} layers in the bottom group"
            yield (
                ("freeze_ratios",),
                f"{one:g} and {other:g} {sentence}; allowed: ratios that split every depth otherwise",
            )


def _same_splits(config: dict[str, Any]) -> Iterator[Mistake]:
    """Yield entries that split a depth as another does and differ in nothing else."""
    grouped = [(label, given) for label, given in Study(config).strategies.items() if "freeze_ratio" in given]
    for (label, one), (other, again) in itertools.combinations(grouped, 2):
        ratios = one["freeze_ratio"], again["freeze_ratio"]
        # of two of freeze_ratios it is told where they stand, and so it is of 0 and 1
        listed = ratios[0] != ratios[1] and set(ratios) <= set(config["freeze_ratios"])
        if listed or {0, 1} & set(ratios) or one | {"freeze_ratio": None} != again | {"freeze_ratio": None}:
            continue
        depth = next((d for d in config["depths"] if len({split_index(ratio, d) for ratio in ratios}) == 1), None)
        if depth is not None:
            sentence = f"{label} and {other} are the same training at depth {depth}; allowed: each training once"
            yield ("strategies",), sentence


def _phases(config: dict[str, Any]) -> Iterator[Mistake]:
    """Yield the periods and unfreezings that the training ends before; the steps of an epoch are not known here."""
    epochs, deepest = config["epochs_alternating"], max(config["depths"])
    for place, entry in enumerate(config["strategies"]):
        given: dict[str, Any] = {"name": entry} if isinstance(entry, str) else entry
        path: KeyPath = ("strategies", place)
        if given["name"] in ("alternating", "random_half"):
            period, unit = given.get("period", config["freeze_period"]), given.get("unit", config["freeze_unit"])
            if unit == "epoch" and period >= epochs:
                sentence = (
                    f"epochs are a phase as long as the training of {epochs}, so the other group would never learn"
                )
                where: KeyPath = (*path, "period") if "period" in given else ("freeze_period",)
                yield where, f"{quoted(period)} {sentence}; allowed: fewer than epochs_alternating"
        if given["name"] == "phases" and given.get("unit") == "epoch":
            walked = (Position(epoch, 0, 1, epochs) for epoch in range(epochs))
            reached = {phase_at(at, given["phases"], "epoch", given.get("repeat", False)) for at in walked}
            for number in sorted({*range(len(given["phases"]))} - reached):
                sentence = f"begins after the end of the training of {epochs} epochs; allowed: phases that end before"
                yield (*path, "phases", number), sentence
        if given["name"] == "gradual_unfreezing":
            each = (defaults("gradual_unfreezing") | given)["epochs_per_layer"]
            last = each * (deepest - 1)
            if last >= epochs:
                sentence = f"thaws the lowest of {deepest} layers after {last} epochs, and training ends at {epochs}"
                where = (*path, "epochs_per_layer") if "epochs_per_layer" in given else path
                yield (
                    where,
                    f"{quoted(given.get('epochs_per_layer', given['name']))} {sentence}; allowed: an earlier thaw",
                )


def idle_schedules(config: dict[str, Any]) -> Iterator[Mistake]:
    """Yield the path of each key by which a strategy would not do what its name says, with a sentence on it.

    Parameters
    ----------
    config : dict
        Complete configuration without contradictions.
    """
    told = dict.fromkeys([*_ratios(config), *_same_splits(config), *_phases(config)])
    yield from told
    for position, variation in enumerate(config["variations"]):
        for path, sentence in _phases(_of_a_variation(config, variation)):
            # what is wrong under the primary recipe is said of it
            if (path, sentence) not in told:
                where = [key for key in variation if key in (path[0], "epochs")][:1]
                yield ("variations", position, *where), sentence


def _of_a_variation(config: dict[str, Any], variation: dict[str, Any]) -> dict[str, Any]:
    """Return a variation's configuration, with the depth and the one entry that alternates which it trains."""
    names = [entry if isinstance(entry, str) else entry["name"] for entry in config["strategies"]]
    alternating = [
        entry
        for name, entry in zip(names, config["strategies"], strict=True)
        if name == "alternating" and (isinstance(entry, str) or "label" not in entry)
    ]
    return varied(config, variation) | {"strategies": alternating, "depths": [config["primary_depth"]]}


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
