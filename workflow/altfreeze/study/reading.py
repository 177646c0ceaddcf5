"""From files to a complete configuration; every mistake is a line that names its file."""

import contextlib
import copy
import functools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from altfreeze.study import mistakes
from altfreeze.study.consistency import contradictions, idle_schedules
from altfreeze.study.grid import Study
from altfreeze.study.mistakes import key_of, quoted
from altfreeze.study.schema import Configuration
from altfreeze.study.sources import paths_of
from altfreeze.support.errors import InputError
from altfreeze.support.provenance import file_of_module

# no value of the configuration has as many levels of lists and keys; anchors of YAML can make endless ones
_MOST_LEVELS = 8


class _Loader(yaml.SafeLoader):
    """YAML, but a key that stands twice is a mistake: it would be the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        met = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in met:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            met.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


@functools.cache
def _parse(text: str) -> Any:
    """Return JSON or else YAML as Snakemake reads it, but for keys that stand twice."""
    with contextlib.suppress(ValueError):
        json.loads(text)
        # JSON may be indented by tabs and YAML may not
        text = text.replace("\t", " ")
    return yaml.load(text, Loader=_Loader)


def read(file: Path | str) -> dict[str, Any]:
    """Return what a configuration file holds.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, has a key twice, holds no keys, or nests without end.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as YAML: {error}; allowed: a file with keys and values") from None
    try:
        # each check reads the files to tell where a key stands
        content = copy.deepcopy(_parse(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else error
        raise InputError(f"{file}: cannot be read as YAML: {reason}; allowed: each key once, with a value") from None
    return _refuse_endless(content, str(file))


def _refuse_endless(config: Any, origin: str) -> dict[str, Any]:
    """Return the keys of a configuration if each has a value that can be read to its end."""
    if not isinstance(config, dict):
        raise InputError(f"{origin}: top level: {quoted(config)} is not allowed; allowed: keys with values")
    endless = [key for key, value in config.items() if isinstance(value, dict | list) and _is_endless(value)]
    if endless:
        sentence = f"has more than {_MOST_LEVELS} levels, or contains itself; allowed: plain lists and keys"
        raise InputError(*(f"{origin}: {key_of((key,))}: {sentence}" for key in endless))
    return config


def _is_endless(value: Any) -> bool:
    """Return whether lists and keys are nested in more levels than any value of the configuration has."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        parts = [part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole)]
        # each once: anchors can repeat a part without end
        level = list({id(part): part for part in parts if isinstance(part, dict | list)}.values())
        if not level:
            return False
    return True


def whole_sources(config: Any, layers: Iterable[Any]) -> Any:
    """Return a configuration with each source as it was given last, and not merged key by key as Snakemake does.

    Parameters
    ----------
    config : dict
        Merged configuration.
    layers : iterable of dict
        What it was merged from, later ones over earlier ones.
    """
    if not isinstance(config, dict) or not isinstance(config.get("sources"), dict):
        return config
    given: dict[str, Any] = {}
    for layer in layers:
        sources = layer.get("sources")
        given |= sources if isinstance(sources, dict) else {}
    return config | {"sources": config["sources"] | given}


def _at(value: Any, path: mistakes.KeyPath) -> Any:
    """Return the value at a path into nested mappings and lists, or None."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _origin(path: mistakes.KeyPath, config: Any, layers: dict[str, Any], otherwise: str) -> str:
    """Return the last file that sets the key at a path as it stands, or else another origin."""
    for file, content in reversed(layers.items()):
        stated, merged = _at(content, path), _at(config, path)
        # a whole number stands for a float, and NaN is not even itself
        if _at(content, path[:-1]) is not None and (stated == merged or quoted(stated) == quoted(merged)):
            return file
    return otherwise


def complete(config: Any, files: Sequence[Path | str] = (), origin: str = "--config") -> dict[str, Any]:
    """Check a configuration and fill in the defaults of the keys it leaves out.

    Parameters
    ----------
    config : dict
        Merged configuration.
    files : sequence of path
        The files it was merged from, later ones over earlier ones; used to name the
        origin of a mistake.
    origin : str
        Where a mistake comes from that is in none of the files.

    Returns
    -------
    dict
        A new, complete configuration of JSON values.

    Raises
    ------
    InputError
        With a line for each mistake that names file, key, what stands there and what is allowed.
    """
    layers = {str(file): read(file) for file in files}
    given = _refuse_endless(config, origin)
    try:
        values = dict(Configuration.model_validate(given))
        wrong: list[mistakes.Mistake] = []
    except ValidationError as error:
        wrong = list(mistakes.sentences(error))
        at_fault = {path[0] for path, _ in wrong}
        values = dict(Configuration.model_validate({key: given[key] for key in given if key not in at_fault}))
    wrong += contradictions(values, {path[0] for path, _ in wrong})
    if wrong:
        raise InputError(
            *(f"{_origin(path, given, layers, origin)}: {key_of(path)}: {sentence}" for path, sentence in wrong)
        )
    return values


def check_files(config: dict[str, Any], files: Sequence[Path | str] = ()) -> None:
    """Check that the files exist that the study's data sets are read from, and the modules of its networks.

    Parameters
    ----------
    config : dict
        Complete configuration; see `complete`.
    files : sequence of path
        The files it was merged from.

    Raises
    ------
    InputError
        With a line for each that is missing that names its key.
    """
    layers = {str(file): read(file) for file in files}
    here = quoted(str(Path.cwd()))
    missing = []
    for name in config["datasets"]:
        for key in (("sources", name, part) for part in ("path", "test_path")):
            for path in paths_of(config["sources"][name], key[-1]):
                # Path.is_file raises where a name is too long
                if not os.path.isfile(path):  # noqa: PTH113
                    sentence = f"{quoted(path)} is not a file; allowed: a file, its path relative to {here}"
                    missing.append(f"{_origin(key, config, layers, '--config')}: {key_of(key)}: {sentence}")
    networks: dict[mistakes.KeyPath, str] = {("network",): config["network"]}
    networks |= {("variations", i, "network"): each.get("network", "") for i, each in enumerate(config["variations"])}
    for key, network in networks.items():
        if ":" in network and file_of_module(network.partition(":")[0]) is None:
            sentence = f"no module of that name; allowed: one that Python finds, from {here} on"
            missing.append(
                f"{_origin(key, config, layers, '--config')}: {key_of(key)}: {quoted(network)} has {sentence}"
            )
    if missing:
        raise InputError(*missing)


def check_schedules(config: dict[str, Any], files: Sequence[Path | str] = ()) -> None:
    """Check that every strategy freezes what its name says within the training.

    Parameters
    ----------
    config, files
        See `check_files`.

    Raises
    ------
    InputError
        With a line for each key by which it would not.
    """
    layers = {str(file): read(file) for file in files}
    idle = [
        f"{_origin(path, config, layers, '--config')}: {key_of(path)}: {sentence}"
        for path, sentence in idle_schedules(config)
    ]
    if idle:
        raise InputError(*idle)


def load(*files: Path | str) -> dict[str, Any]:
    """Read configuration files, later ones over earlier ones, and complete the result.

    Parameters
    ----------
    *files : path

    Returns
    -------
    dict
        See `complete`. A key replaces the same key of an earlier file, but ``sources``, of which a source replaces the
        one of the same name.

    Raises
    ------
    InputError
        As `complete`, and where a file is missing or is not YAML.
    """
    layers = [read(file) for file in files]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return complete(whole_sources(merged, layers), files)


def study_of(config: Any, origin: str = "--config") -> Study:
    """Return the study of a configuration, checked and completed; see `complete`."""
    return Study(complete(config, origin=origin))


def read_study(path: Path | str) -> Study:
    """Return the study of a file: its configuration, or the ``study.json`` that stands beside the tables.

    Parameters
    ----------
    path : path

    Returns
    -------
    altfreeze.study.grid.Study

    Raises
    ------
    InputError
        If it cannot be read, lacks a key or is no configuration.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not the study's record: {type(error).__name__}: {error}") from None
    config = content.get("config", content) if isinstance(content, dict) else content
    absent = [key for key in Configuration.model_fields if isinstance(config, dict) and key not in config]
    if absent:
        raise InputError(f"{path}: {', '.join(absent)} is missing; allowed: the file that the workflow writes")
    return study_of(config, origin=str(path))
