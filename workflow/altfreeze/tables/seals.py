"""Seals of tables: their SHA-256, written beside them when they are made and compared when they are read."""

import json
from collections.abc import Iterable
from pathlib import Path

from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file

# each is written last by its stage and holds the seals of the tables of that stage: collect and compare. A file has
# one writer, as the workflow demands of outputs
SEALS = ("study.json", "comparisons.json")


def seals(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of tables by the names of their files.

    Parameters
    ----------
    folder : pathlib.Path
    names : iterable of str
        Names of files in it.
    """
    return {name: sha256_of_file(folder / name) for name in sorted(names)}


def check_seal(path: Path) -> None:
    """Refuse a table that is not the one that was written.

    A table that no file of `SEALS` beside it names is not checked.

    Parameters
    ----------
    path : pathlib.Path
        File of the table.

    Raises
    ------
    InputError
        If its SHA-256 is not its seal, or a file of seals cannot be read.
    """
    for record in (path.with_name(name) for name in SEALS):
        if not record.is_file():
            continue
        try:
            sealed = json.loads(record.read_text(encoding="utf-8")).get("tables", {}).get(path.name)
        except (ValueError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{record}: not a record of tables: {reason}; delete it and run snakemake again") from None
        if sealed and sha256_of_file(path) != sealed:
            raise InputError(
                f"{path}: was changed after it was written: its SHA-256 is not the one in {record.name}; "
                "delete it and run snakemake again"
            )
