"""What is wrong with a configuration, in sentences: the key, what stands there, and what is allowed."""

import contextlib
import difflib
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from altfreeze.study.schema import json_schema
from altfreeze.study.values import NAME_IN_WORDS

# path of a key into the configuration
KeyPath = tuple[Any, ...]
Mistake = tuple[KeyPath, str]

_TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "keys with values",
    "boolean": "true or false",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_LONGEST_QUOTE = 80


def quoted(value: Any) -> str:
    """Return a value as JSON, cut at 80 characters."""
    text = ""
    try:
        for part in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
            text += part
            if len(text) > _LONGEST_QUOTE:
                return text[: _LONGEST_QUOTE - 3] + "..."
    except (TypeError, ValueError):
        # a value that contains itself, a key that is not text, a number of too many digits
        return text + "..."
    return text


def key_of(path: KeyPath) -> str:
    """Return a path into the configuration as text: ``sources.iris.kind``, ``depths[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "top level"


def meant(value: Any, names: Iterable[Any]) -> str:
    """Return the question which of some names was meant, if one is close to what stands there."""
    close = difflib.get_close_matches(value, list(map(str, names)), n=1) if isinstance(value, str) else []
    # a strategy that needs keys is one that is meant, but not by its name alone
    return f"did you mean {close[0]}? " if close and close[0] != value else ""


def _dereferenced(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref")
    return json_schema()["$defs"][name.rpartition("/")[2]] if name else schema


def _names(schema: dict[str, Any]) -> list[Any]:
    """Return the words that a part of the schema allows."""
    options = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    words = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [
        *words,
        *schema.get("discriminator", {}).get("mapping", {}),
        *(name for part in options for name in _names(part)),
    ]


def in_words(schema: dict[str, Any]) -> str:
    """Return what a part of the JSON Schema allows.

    Parameters
    ----------
    schema : dict
        See `altfreeze.study.schema.json_schema`.
    """
    schema = _dereferenced(schema)
    if "discriminator" in schema:
        return _TYPES["object"]
    for form in ("anyOf", "oneOf"):
        if form in schema:
            return " or ".join(map(in_words, schema[form]))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, _names(schema)))
    words = [_TYPES[schema["type"]]]
    bounds = [f"{sign} {schema[keyword]}" for keyword, sign in _BOUNDS.items() if keyword in schema]
    words += [" and ".join(bounds)] if bounds else []
    words += [schema["$comment"]] if "$comment" in schema else []
    if "minLength" in schema:
        fewest, most = schema["minLength"], schema["maxLength"]
        words.append(f"of {fewest} character" if fewest == most else f"of {fewest} to {most} characters")
    if "minItems" in schema:
        fewest = schema["minItems"]
        words.append("that is not empty" if fewest == 1 else f"of at least {fewest}")
    if "items" in schema:
        words.append(f"with each entry {in_words(schema['items'])}")
    return " ".join(words)


def _located(place: tuple[Any, ...]) -> tuple[KeyPath, dict[str, Any], dict[str, Any]]:
    """Return the path of the key that an error is about, the schema of its value, and that of what it stands in.

    Between the keys, pydantic's place of an error holds the names of the alternatives that it tried.
    """
    path: list[Any] = []
    around: dict[str, Any] = {}
    schema = narrowed = json_schema()
    for part in place:
        narrowed = _dereferenced(narrowed)
        if part == "[key]" or "anyOf" in narrowed:
            break
        if "discriminator" in narrowed:
            narrowed = _dereferenced({"$ref": narrowed["discriminator"]["mapping"][part]})
        elif "oneOf" in narrowed:
            narrowed = next(option for option in narrowed["oneOf"] if ("enum" in option) == (part == "name"))
        else:
            path.append(part)
            around = narrowed
            of_any_name = next(iter(narrowed.get("patternProperties", {}).values()), narrowed.get("items", {}))
            schema = narrowed = narrowed.get("properties", {}).get(part, of_any_name)
    return tuple(path), schema, around


def _as_number(value: Any, allowed: str) -> str:
    """Return the number that a text reads as where a number is allowed: YAML takes 1e-3 for text."""
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and "number" in allowed and math.isfinite(float(value)):
            return f" (text; as a number it is {float(value)})"
    return ""


def _sentence(error: Any) -> Mistake:
    path, schema, around = _located(error["loc"])
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return path[:-1], f"the key {path[-1]} is missing; required: {', '.join(around['required'])}"
    if kind in ("extra_forbidden", "invalid_key"):
        # of a key that is no text, the place holds a text
        key = value if kind == "invalid_key" else path[-1]
        known = around["properties"]
        return (*path[:-1], key), f"unknown key; {meant(key, known)}allowed: {', '.join(known)}"
    if error["loc"][-1:] == ("[key]",):
        return path, f"this name is not allowed; allowed: text {NAME_IN_WORDS}"
    if kind in ("twice", "either"):
        return path, f"{quoted(value)} {error['msg']}"
    names, allowed = _names(schema), in_words(schema)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        key, allowed = error["ctx"]["discriminator"].strip("'"), ", ".join(names := list(dict.fromkeys(names)))
        if kind == "union_tag_not_found":
            return path, f"the key {key} is missing; allowed: {allowed}"
        path, value = (*path, key), value[key]
    hint = meant(value, names)
    return path, f"{quoted(value)}{_as_number(value, allowed)} is not allowed; {hint}allowed: {allowed}"


def sentences(error: ValidationError) -> Iterator[Mistake]:
    """Yield the path of each wrong key of a configuration with a sentence on it, each once.

    Parameters
    ----------
    error : pydantic.ValidationError
        Of `altfreeze.study.schema.Configuration`.
    """
    # each alternative that a value does not fit is an error of its own
    yield from dict.fromkeys(map(_sentence, error.errors(include_url=False)))
