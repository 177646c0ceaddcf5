"""Atomic file output and content hashes."""

import contextlib
import csv
import glob
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_output(path, mode="w"):
    """Open a temporary file that becomes `path` only when the block succeeds.

    The data is synced before the rename and the directory after it, so that a
    crash leaves the old file or the new one, never a part.

    Parameters
    ----------
    path : str or pathlib.Path
        Final path; its directory is made if needed.
    mode : {'w', 'wb'}
        Text (UTF-8, newline not translated) or binary.

    Yields
    ------
    file object
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with os.fdopen(descriptor, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are as readable as any other output
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _prefix(path):
    return f".{path.name[:100]}."


def remove_leftovers(path):
    """Remove the temporary files of processes that were killed while they wrote `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f"{glob.escape(_prefix(path))}*.tmp"):
        leftover.unlink(missing_ok=True)


def write_csv(path, columns, rows):
    """Write rows as CSV, atomically: NaN is empty, and 9 digits hold a float32 exactly.

    Parameters
    ----------
    path : path
    columns : sequence of str
    rows : iterable of sequence
        Values in the order of `columns`.
    """

    def text(value):
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.9g}"
        return str(value)

    with atomic_output(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(text, row) for row in rows)


def write_json(path, value):
    """Write `value` as indented JSON with sorted keys, atomically; NaN is refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic_output(path) as file:
        file.write(text + "\n")


def sha256_of_file(path):
    """Return the SHA-256 of the file at `path` as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
