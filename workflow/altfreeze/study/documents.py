"""What is generated from the definition of the keys: the tables of config/README.md, and the JSON Schema."""

import json
import re
from pathlib import Path
from typing import Any

from altfreeze.freezing.strategy import STRATEGIES, defaults
from altfreeze.study.keel import KEEL
from altfreeze.study.mistakes import quoted
from altfreeze.study.reading import read
from altfreeze.study.schema import json_schema, keys
from altfreeze.support.files import atomic_output

README = Path("config", "README.md")
SCHEMA = Path("workflow", "schemas", "config.schema.json")
_DEFAULT_STUDY = Path("config", "config.yaml")
_LONGEST_DEFAULT = 40
# in the README, a table stands between the comment that asks for it and the next one that ends it
_TABLE = re.compile(r"(<!-- table of (\w+)(?:: ([\w ]+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _head(*titles: str) -> str:
    return _row(*titles) + _row(*["---"] * len(titles))


def _stated(value: Any) -> str:
    return value if isinstance(value, str) else quoted(value)


def _default(value: Any) -> str:
    text = _stated(value)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else f"see [{_DEFAULT_STUDY.name}]({_DEFAULT_STUDY.name})"


def _table_of_keys(names: list[str], stated: dict[str, Any]) -> str:
    rows = [_row(f"`{name}`", keys()[name]["description"], _default(stated[name])) for name in names]
    return _head("key", "meaning", "default") + "".join(rows)


def _table_of_kinds() -> str:
    definitions = json_schema()["$defs"]
    options = keys()["sources"]["patternProperties"].values()
    named = [option["$ref"].rpartition("/")[2] for part in options for option in part["oneOf"]]
    rows = []
    for definition in map(definitions.get, named):
        kind, *parts = definition["properties"].items()
        kinds = kind[1].get("enum", [kind[1].get("const")])
        words = []
        for name, part in parts:
            meaning = f" ({part['description']})" if "description" in part else ""
            words.append((f"**{name}**" if name in definition["required"] else name) + meaning)
        rows.append(_row(", ".join(f"`{name}`" for name in kinds), definition["description"], ", ".join(words)))
    return _head("`kind`", "what it is", "keys (bold: needed)") + "".join(rows)


def _table_of_strategies() -> str:
    rows = []
    for name, strategy in STRATEGIES.items():
        meaning = (strategy.schedule.__doc__ or "").partition("\n")[0]
        unstated = defaults(name)
        words = [f"{key} ({_stated(unstated[key])})" if key in unstated else key for key in strategy.parameters]
        rows.append(_row(f"`{name}`", meaning, ", ".join(words)))
    return _head("name", "which layers learn", "parameters (default)") + "".join(rows)


def _table_of_keel() -> str:
    rows = [_row(name, *map(str, known)) for name, known in KEEL.items()]
    return _head("name", "rows", "features", "classes", "origin") + "".join(rows)


def readme(text: str, stated: dict[str, Any]) -> str:
    """Return the README of the configuration with its tables written anew.

    Parameters
    ----------
    text : str
        The README as it is.
    stated : dict
        What the default study states.
    """

    def table(match: re.Match[str]) -> str:
        begin, what, names, end = match.groups()
        tables = {
            "keys": lambda: _table_of_keys((names or "").split(), stated),
            "kinds": _table_of_kinds,
            "keel": _table_of_keel,
            "strategies": _table_of_strategies,
        }
        return f"{begin}\n{tables[what]()}\n{end}"

    return _TABLE.sub(table, text)


def documents(checkout: Path) -> dict[Path, str]:
    """Return what the generated files of a checkout should hold, by their paths in it.

    Parameters
    ----------
    checkout : path
        Folder of the workflow, with the Snakefile.
    """
    text = (checkout / README).read_text(encoding="utf-8")
    return {
        README: readme(text, read(checkout / _DEFAULT_STUDY)),
        SCHEMA: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def write_documents(checkout: Path) -> None:
    """Write the generated files of a checkout; see `documents`."""
    for path, text in documents(checkout).items():
        with atomic_output(checkout / path) as file:
            file.write(text)
