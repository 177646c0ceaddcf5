"""Configuration of a study: validated, with one line for each mistake, and expanded into its grid."""

import difflib
import json
import math
from pathlib import Path
from typing import NamedTuple

import jsonschema
import yaml

from altfreeze import InputError

SCHEMA_PATH = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"

# keys that decide a run's numbers, by the strategies and optimizers that read them
_TRAINING_KEYS = (
    "width",
    "batch_size",
    "dropout",
    "optimizer",
    "learning_rate",
    "learning_rate_schedule",
    "weight_decay",
)
_TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "keys with values",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


class Pack(NamedTuple):
    """Seeds of one cell that are trained together."""

    dataset: str
    depth: int
    strategy: str
    first_seed: int
    last_seed: int

    @property
    def seeds(self):
        """The block of seeds as text, first and last included."""
        return f"{self.first_seed}-{self.last_seed}"

    @property
    def stem(self):
        """Path of the pack's files below the folder of runs, without suffix."""
        return f"{self.dataset}/depth{self.depth}/{self.strategy}/seeds{self.seeds}"


def load_schema():
    """Return the schema of the configuration as nested dicts."""
    return yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))


def _is_finite_number(_, value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole_number(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    # JSON Schema takes 4.0 for an integer and NaN for a number
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole_number).redefine(
        "number", _is_finite_number
    ),
)


def _quoted(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _key(path):
    """Return a path into the configuration as text: ``sources.iris.kind``, ``depths[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _allowed(schema):
    """Return in words what a part of the schema allows."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    words = [_TYPE_NAMES[schema["type"]]] if "type" in schema else []
    bounds = [f"{sign} {schema[keyword]}" for keyword, sign in _BOUNDS.items() if keyword in schema]
    words += [" and ".join(bounds)] if bounds else []
    if "pattern" in schema:
        words.append(f"that matches {schema['pattern']}")
    if schema.get("minLength") == schema.get("maxLength", 0):
        words.append(f"of {schema['minLength']} character")
    elif "minLength" in schema:
        words.append(f"of {schema['minLength']} to {schema['maxLength']} characters")
    if "minItems" in schema:
        words.append("that is not empty")
    if "items" in schema:
        words.append(f"with each entry {_allowed(schema['items'])}")
    return " ".join(words)


def _sentence(error):
    """Return (path of the key, what is wrong and what is allowed) for a schema error."""
    path = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return [*path, unknown], f"unknown key; {hint}allowed: {', '.join(known)}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return path, f"the key {missing[0]} is missing; required: {', '.join(error.validator_value)}"
    if error.validator == "oneOf":
        return path, "allowed: either id, or name and version"
    if error.validator == "uniqueItems":
        return path, f"{_quoted(error.instance)} names an entry twice; allowed: each once"
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        return [*path, error.instance], f"this name is not allowed; allowed: {_allowed(error.schema)}"
    return path, f"{_quoted(error.instance)} is not allowed; allowed: {_allowed(error.schema)}"


def _at(value, path):
    """Return the value at a path into nested mappings and lists, or None."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _origin(path, config, files):
    """Return the last of `files` that sets the key at `path` as it stands, or the command line."""
    for file in reversed(files):
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        if _at(content, path[:-1]) is not None and _quoted(_at(content, path)) == _quoted(_at(config, path)):
            return str(file)
    return "--config"


def validate(config, files=()):
    """Check a configuration and fill in the defaults of the keys it leaves out.

    Parameters
    ----------
    config : dict
        Merged configuration.
    files : sequence of path
        The files it was merged from, later ones over earlier ones; used to name the
        origin of a mistake.

    Returns
    -------
    dict
        A new, complete configuration.

    Raises
    ------
    InputError
        With one line that names file, key, what stands there and what is allowed.
    """

    def refuse(path, sentence):
        raise InputError(f"{_origin(path, config, files)}: {_key(path)}: {sentence}")

    schema = load_schema()
    error = jsonschema.exceptions.best_match(_Validator(schema).iter_errors(config))
    if error is not None:
        refuse(*_sentence(error))
    complete = {key: config.get(key, part["default"]) for key, part in schema["properties"].items()}
    # 0 and 0.0 are the same study
    complete |= {
        key: float(complete[key]) for key, part in schema["properties"].items() if part.get("type") == "number"
    }
    complete["freeze_ratios"] = [float(ratio) for ratio in complete["freeze_ratios"]]
    complete["results"] = str(Path(complete["results"]))
    if complete["results"] == ".":
        refuse(["results"], f"{_quoted(config['results'])} is the folder of the workflow; allowed: another folder")
    for position, name in enumerate(complete["datasets"]):
        if name == "all":
            refuse(["datasets", position], '"all" means all data sets in the tables; allowed: any other name')
        if name not in complete["sources"]:
            refuse(
                ["datasets", position],
                f"{_quoted(name)} has no entry in sources; allowed: {', '.join(complete['sources'])}",
            )
    labels = [alternating_label(ratio) for ratio in complete["freeze_ratios"]]
    if len(set(labels)) < len(labels):
        refuse(
            ["freeze_ratios"],
            f"{_quoted(complete['freeze_ratios'])} has ratios alike in six digits; allowed: ratios that differ",
        )
    for key, among in (("primary_depth", "depths"), ("primary_freeze_ratio", "freeze_ratios")):
        if complete[key] not in complete[among]:
            allowed = ", ".join(map(str, complete[among]))
            refuse([key], f"{_quoted(complete[key])} is not one of {among}; allowed: {allowed}")
    return complete


def check_files(config, files=()):
    """Check that the files that the study's data sets are read from exist.

    Parameters
    ----------
    config : dict
        Complete configuration; see `validate`.
    files : sequence of path
        The files it was merged from.

    Raises
    ------
    InputError
        With one line that names the key and the missing file.
    """
    for name in config["datasets"]:
        path = config["sources"][name].get("path")
        if path is not None and not Path(path).is_file():
            key = ["sources", name, "path"]
            place = _quoted(str(Path.cwd()))
            raise InputError(
                f"{_origin(key, config, files)}: {_key(key)}: {_quoted(path)} is not a file; "
                f"allowed: a file, its path relative to {place}"
            )


def load(*files):
    """Read configuration files, later ones over earlier ones, and validate the result.

    Parameters
    ----------
    *files : path

    Returns
    -------
    dict
        See `validate`. Mappings are merged key by key, anything else is replaced.

    Raises
    ------
    InputError
        As `validate`, and where a file is missing or is not YAML.
    """
    merged = {}
    for file in files:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise InputError(f"{file}: top level: {_quoted(content)} is not allowed; allowed: keys with values")
        _merge(merged, content)
    return validate(merged, files)


def _merge(target, addition):
    for key, value in addition.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def alternating_label(freeze_ratio):
    """Return the label of alternating training at a freeze ratio, as in paths and tables."""
    return f"alternating-{freeze_ratio:g}"


def strategies(config):
    """Return the study's strategies.

    Parameters
    ----------
    config : dict
        Complete configuration; see `validate`.

    Returns
    -------
    dict of str to dict
        Label to name and parameters, standard training first; see
        `altfreeze.schedules.active_layers`.
    """
    labelled = {"standard": {"name": "standard"}}
    for ratio in config["freeze_ratios"]:
        labelled[alternating_label(ratio)] = {
            "name": "alternating",
            "freeze_ratio": ratio,
            "period": config["freeze_period"],
            "unit": config["freeze_unit"],
            "first": config["first_to_learn"],
        }
    return labelled


def packs(config):
    """Return every pack of the study.

    Parameters
    ----------
    config : dict
        Complete configuration; see `validate`.

    Returns
    -------
    list of Pack
        By data set, depth, strategy and seeds, in the order of the configuration.
    """
    size = config["seeds_per_job"]
    blocks = [(first, min(first + size, config["seeds"]) - 1) for first in range(0, config["seeds"], size)]
    return [
        Pack(dataset, depth, strategy, *block)
        for dataset in config["datasets"]
        for depth in config["depths"]
        for strategy in strategies(config)
        for block in blocks
    ]


def cell(config, dataset, depth, strategy):
    """Return all that decides the numbers of one cell, and nothing else.

    Parameters
    ----------
    config : dict
        Complete configuration; see `validate`.
    dataset, depth, strategy : str, int, str
        The cell; `strategy` is a label, see `strategies`.

    Returns
    -------
    dict
        JSON-able; the input of `altfreeze.training.train_pack`. Keys that the cell's
        strategy or optimizer does not read are left out, so that changing them makes
        no result stale.
    """
    parameters = strategies(config)[strategy]
    cell = {"study_seed": config["seed"], "dataset": dataset, "depth": depth, "strategy": parameters}
    cell |= {key: config[key] for key in _TRAINING_KEYS}
    cell["epochs"] = config[f"epochs_{parameters['name']}"]
    if config["optimizer"] == "sgd":
        cell["momentum"] = config["momentum"]
    if parameters["name"] != "standard":
        cell["state_on_thaw"] = config["state_on_thaw"]
    return cell


def validate_cell(cell):
    """Check a cell that was given by hand.

    Parameters
    ----------
    cell : dict
        See `cell`.

    Returns
    -------
    dict
        The same cell.

    Raises
    ------
    InputError
        With one line that names the key, what stands there and what is allowed.
    """
    properties = load_schema()["properties"]
    name = _at(cell, ["strategy", "name"])
    alternating = {
        "name": {"enum": ["alternating"]},
        "freeze_ratio": properties["freeze_ratios"]["items"],
        "period": properties["freeze_period"],
        "unit": properties["freeze_unit"],
        "first": properties["first_to_learn"],
    }
    parts = {key: properties[key] for key in _TRAINING_KEYS}
    parts |= {
        "study_seed": properties["seed"],
        "dataset": properties["datasets"]["items"],
        "depth": properties["depths"]["items"],
        "epochs": properties["epochs_standard"],
        "strategy": _closed(alternating if name == "alternating" else {"name": {"enum": ["standard", "alternating"]}}),
    }
    if name == "alternating":
        parts["state_on_thaw"] = properties["state_on_thaw"]
    if _at(cell, ["optimizer"]) == "sgd":
        parts["momentum"] = properties["momentum"]
    error = jsonschema.exceptions.best_match(_Validator(_closed(parts)).iter_errors(cell))
    if error is not None:
        path, sentence = _sentence(error)
        raise InputError(f"--cell: {_key(path) or 'top level'}: {sentence}")
    return cell


def _closed(properties):
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}
