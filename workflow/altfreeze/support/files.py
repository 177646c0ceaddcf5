"""Atomic file output and content hashes."""

import contextlib
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_output(path: Path | str, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file that becomes `path` only when the block succeeds.

    The data is synced before the rename and the directory after it, so that a
    crash leaves the old file or the new one, never a part. The temporary file that a
    killed process left is removed by the next one that writes the same path.

    Parameters
    ----------
    path : str or pathlib.Path
        Final path; its directory is made if needed.
    mode : {'w', 'wb'}
        Text (UTF-8, newline not translated) or binary.

    Yields
    ------
    file object

    Raises
    ------
    OSError
        If the file cannot be written; its ``filename`` is `path`.
    """
    path = Path(path)
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(descriptor, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results are as readable as any other output
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        # a write error has no name of its own, and nobody knows the temporary one
        if isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = str(path)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote `path`."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        leftover.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically; NaN is refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic_output(path) as file:
        file.write(text + "\n")


def sha256_of_file(path: Path | str) -> str:
    """Return the SHA-256 of the file at `path` as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
