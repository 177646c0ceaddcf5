"""Configuration of a study: validated, with one line for each mistake, and expanded into its grid."""

import contextlib
import difflib
import functools
import json
import math
import os
import re
from pathlib import Path

import jsonschema
import yaml

from altfreeze.freezing.strategy import STRATEGIES, defaults
from altfreeze.support.errors import InputError

SCHEMA_PATH = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

# keys that decide a run's numbers, by the strategies and optimizers that read them
_TRAINING_KEYS = (
    "width",
    "batch_size",
    "dropout",
    "optimizer",
    "learning_rate",
    "learning_rate_schedule",
    "weight_decay",
    "cache_activations",
)
# parameters of strategies that are general keys of the configuration
_GENERAL_PARAMETERS = {"period": "freeze_period", "unit": "freeze_unit", "first": "first_to_learn"}
_TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "keys with values",
    "boolean": "true or false",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
# no value of the configuration has as many levels of lists and keys; anchors of YAML can make endless ones
_MOST_LEVELS = 8
_LONGEST_FILE_NAME = 255


@functools.cache
def load_schema():
    """Return the schema of the configuration as nested dicts."""
    return yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))


def _is_finite_number(_, value):
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        # a whole number beyond the largest float
        return False


def _is_whole_number(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_pattern(_, pattern, value, schema):
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    # Python's $ also matches before a last line end
    {"pattern": _whole_pattern},
    # JSON Schema takes 4.0 for an integer and NaN for a number
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole_number).redefine(
        "number", _is_finite_number
    ),
)


def _quoted(value):
    text = ""
    try:
        for part in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
            text += part
            if len(text) > 80:
                return text[:77] + "..."
    except (TypeError, ValueError):
        # a value that contains itself, a key that is not text, a number of too many digits
        return text + "..."
    return text


def _key(path):
    """Return a path into the configuration as text: ``sources.iris.kind``, ``depths[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _allowed(schema):
    """Return in words what a part of the schema allows."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_allowed, schema["anyOf"]))
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    words = [" or ".join(_TYPE_NAMES[name] for name in types)] if types else []
    bounds = [f"{sign} {schema[keyword]}" for keyword, sign in _BOUNDS.items() if keyword in schema]
    words += [" and ".join(bounds)] if bounds else []
    if "pattern" in schema:
        words.append(schema.get("$comment", f"that matches {schema['pattern']}"))
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
    if "propertyNames" in error.absolute_schema_path:
        return [*path, error.instance], f"this name is not allowed; allowed: {_allowed(error.schema)}"
    hint = ""
    if error.validator == "type" and isinstance(error.instance, str):
        with contextlib.suppress(ValueError):
            number = float(error.instance)
            hint = f" (text; as a number it is {number})" if math.isfinite(number) else ""
    # of several alternatives, the error is about one
    schema = error.parent.schema if error.parent and "anyOf" in error.parent.schema else error.schema
    return path, f"{_quoted(error.instance)}{hint} is not allowed; allowed: {_allowed(schema)}"


def _at(value, path):
    """Return the value at a path into nested mappings and lists, or None."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _origin(path, config, files):
    """Return the last of `files` that sets the key at `path` as it stands, or None."""
    for file in reversed(files):
        content = _read(file)
        if _at(content, path[:-1]) is not None and _quoted(_at(content, path)) == _quoted(_at(config, path)):
            return str(file)
    return None


class _Loader(yaml.SafeLoader):
    """YAML, but a key that stands twice is a mistake: it would be the last one in silence."""

    def construct_mapping(self, node, deep=False):
        found = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in found:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            found.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


def _parse(text):
    """Return JSON or else YAML as Snakemake reads it, but for keys that stand twice."""
    with contextlib.suppress(ValueError):
        json.loads(text)
        # JSON may be indented by tabs and YAML may not
        text = text.replace("\t", " ")
    return yaml.load(text, Loader=_Loader)


def _read(file):
    """Return what a configuration file holds, or refuse it in one line."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as YAML: {error}; allowed: a file with keys and values") from None
    try:
        content = _parse(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = f"line {mark.line + 1}: {error.problem}" if mark else error
        raise InputError(f"{file}: cannot be read as YAML: {reason}; allowed: each key once, with a value") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: top level: {_quoted(content)} is not allowed; allowed: keys with values")
    _refuse_endless(content, file)
    return content


def _refuse_endless(config, origin):
    for key, value in config.items():
        if isinstance(value, dict | list) and _is_endless(value):
            raise InputError(
                f"{origin}: {_key([key])}: has more than {_MOST_LEVELS} levels, or contains itself; "
                "allowed: plain lists and keys"
            )


def _is_endless(value):
    """Return whether lists and keys are nested in more levels than any value of the configuration has."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        parts = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
        # each once: anchors can repeat a part without end
        level = list({id(part): part for part in parts if isinstance(part, dict | list)}.values())
        if not level:
            return False
    return True


def _results_mistake(results):
    """Return what is wrong with the folder of results and what is allowed, or None."""
    here = Path.cwd()
    folder = Path(os.path.normpath(here / results))
    if folder in (here, *here.parents):
        return "is the folder of the workflow, or one around it; allowed: another folder"
    if folder.is_relative_to(here / "workflow"):
        return "holds the workflow itself; allowed: another folder"
    if any(len(os.fsencode(part)) > _LONGEST_FILE_NAME for part in folder.parts):
        return f"has a name of more than {_LONGEST_FILE_NAME} bytes; allowed: shorter names"
    return None


def validate(config, files=(), origin="--config"):
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
        A new, complete configuration.

    Raises
    ------
    InputError
        With one line that names file, key, what stands there and what is allowed.
    """

    def refuse(path, sentence):
        raise InputError(f"{_origin(path, config, files) or origin}: {_key(path)}: {sentence}")

    for file in files:
        _read(file)
    if not isinstance(config, dict):
        raise InputError(f"{origin}: top level: {_quoted(config)} is not allowed; allowed: keys with values")
    _refuse_endless(config, origin)
    schema = load_schema()
    if config.get("cache_activations") is False:
        # YAML reads the word off as false
        config = config | {"cache_activations": "off"}
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
    mistake = _results_mistake(complete["results"])
    if mistake:
        refuse(["results"], f"{_quoted(complete['results'])} {mistake}")
    for position, name in enumerate(complete["datasets"]):
        if name == "all":
            refuse(["datasets", position], '"all" means all data sets in the tables; allowed: any other name')
        if name not in complete["sources"]:
            refuse(
                ["datasets", position],
                f"{_quoted(name)} has no entry in sources; allowed: {', '.join(complete['sources'])}",
            )
    labels = [f"{ratio:g}" for ratio in complete["freeze_ratios"]]
    if len(set(labels)) < len(labels):
        refuse(
            ["freeze_ratios"],
            f"{_quoted(complete['freeze_ratios'])} has ratios alike in six digits; allowed: ratios that differ",
        )
    mistake = _strategies_mistake(complete)
    if mistake:
        refuse(*mistake)
    labels = ["standard", *(label for label, _ in _labelled(complete))]
    for label in labels:
        if labels.count(label) > 1:
            refuse(
                ["strategies"],
                f"{_quoted(label)} stands twice (standard is always trained); "
                "allowed: each once, or entries with a label that differs",
            )
    for key, among in (("primary_depth", "depths"), ("primary_freeze_ratio", "freeze_ratios")):
        if complete[key] not in complete[among]:
            allowed = ", ".join(map(str, complete[among]))
            refuse([key], f"{_quoted(complete[key])} is not one of {among}; allowed: {allowed}")
    primary = f"alternating-{complete['primary_freeze_ratio']:g}"
    if primary not in labels:
        refuse(
            ["strategies"],
            f"{primary}, which the primary comparison is about, is not among them; "
            "allowed: a list with alternating in it",
        )
    for position, label in enumerate(complete["family"]):
        if label not in labels[1:]:
            refuse(
                ["family", position],
                f"{_quoted(label)} is not the label of a strategy; allowed: {', '.join(labels[1:])}",
            )
    return complete


def _entries(config):
    """Return the entries of strategies as mappings, the primary freeze ratio written out."""
    entries = [{"name": entry} if isinstance(entry, str) else dict(entry) for entry in config["strategies"]]
    for entry in entries:
        if entry.get("freeze_ratio") == "primary":
            entry["freeze_ratio"] = config["primary_freeze_ratio"]
    return entries


def _strategies_mistake(config):
    """Return (path, what is wrong and what is allowed) of the first wrong entry of strategies, or None."""
    for position, entry in enumerate(_entries(config)):
        mistake = _strategy_mistake(entry)
        if mistake:
            path, sentence = mistake
            return ["strategies", position, *path], sentence
    return None


def _strategy_mistake(named):
    """Return (path in the entry, what is wrong and what is allowed) of an entry of strategies, or None."""
    known = ", ".join(STRATEGIES)
    if "name" not in named:
        return [], f"the key name is missing; allowed: one of {known}"
    if named["name"] not in list(STRATEGIES):
        close = difflib.get_close_matches(str(named["name"]), STRATEGIES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return [], f"{_quoted(named['name'])} is no strategy; {hint}allowed: {known}"
    for name in set(STRATEGIES) - {named["name"]}:
        if re.fullmatch(rf"{name}(-[\d.e-]+)?", str(named.get("label", ""))):
            return ["label"], f"{_quoted(named['label'])} is another strategy's; allowed: a label that is no name"
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {},
            "label": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
            **STRATEGIES[named["name"]].parameters,
        },
    }
    error = jsonschema.exceptions.best_match(_Validator(schema).iter_errors(named))
    return _sentence(error) if error is not None else None


def _labelled(config):
    """Yield the label, and the name and parameters, of every strategy of the configuration but standard."""
    for named in _entries(config):
        parameters = STRATEGIES[named["name"]].parameters
        general = {key: config[name] for key, name in _GENERAL_PARAMETERS.items() if key in parameters}
        given = {
            # 1 and 1.0 are the same strategy
            key: float(value) if parameters.get(key, {}).get("type") == "number" else value
            for key, value in named.items()
            if key != "label"
        }
        label = named.get("label", named["name"])
        if "freeze_ratio" not in parameters:
            yield label, defaults(named["name"]) | general | given
        else:
            for ratio in [given["freeze_ratio"]] if "freeze_ratio" in given else config["freeze_ratios"]:
                yield f"{label}-{ratio:g}", defaults(named["name"]) | general | given | {"freeze_ratio": ratio}


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
        # Path.is_file raises where a name is too long
        if path is not None and not os.path.isfile(path):  # noqa: PTH113
            key = ["sources", name, "path"]
            place = _quoted(str(Path.cwd()))
            raise InputError(
                f"{_origin(key, config, files) or '--config'}: {_key(key)}: {_quoted(path)} is not a file; "
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
        _merge(merged, _read(file))
    return validate(merged, files)


def _merge(target, addition):
    for key, value in addition.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


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
        `altfreeze.freezing.schedules.factors`.
    """
    return {"standard": {"name": "standard"}} | dict(_labelled(config))


def validate_source(name, source, study_seed):
    """Check the name and the source of a data set that were given by hand.

    Parameters
    ----------
    name : str
    source : dict
        As under ``sources`` of the configuration.
    study_seed : int

    Raises
    ------
    InputError
        With one line that names the key, what stands there and what is allowed.
    """
    given = {"datasets": [name], "sources": {name: source}, "seed": study_seed}
    error = jsonschema.exceptions.best_match(_Validator(load_schema()).iter_errors(given))
    if error is not None:
        path, sentence = _sentence(error)
        raise InputError(f"data set {_quoted(name)}: {_key(path)}: {sentence}")


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
    named = _at(cell, ["strategy", "name"])
    chosen = STRATEGIES.get(named) if isinstance(named, str) else None
    parts = {key: properties[key] for key in _TRAINING_KEYS}
    parts |= {
        "study_seed": properties["seed"],
        "dataset": properties["datasets"]["items"],
        "depth": properties["depths"]["items"],
        "epochs": properties["epochs_standard"],
        "state_on_thaw": properties["state_on_thaw"],
        "strategy": _closed({"name": {"enum": list(STRATEGIES)}, **(chosen.parameters if chosen else {})}),
    }
    if _at(cell, ["optimizer"]) == "sgd":
        parts["momentum"] = properties["momentum"]
    error = jsonschema.exceptions.best_match(_Validator(_closed(parts)).iter_errors(cell))
    if error is not None:
        path, sentence = _sentence(error)
        raise InputError(f"--cell: {_key(path) or 'top level'}: {sentence}")
    return cell


def _closed(properties):
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}
