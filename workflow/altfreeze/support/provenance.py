"""Where a result comes from: versions, commit, and a fingerprint of the code that decides it."""

import ast
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from altfreeze.version import VERSION

PACKAGE = Path(__file__).parents[1]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _structure(node: Any) -> str:
    """Return a syntax tree as text that is the same in every version of Python, without its documentation.

    Left out are the texts that document a module, a class, a function or, below it, an attribute.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_structure, node))}]"
    if not isinstance(node, ast.AST):
        return repr(repr(node))
    fields = []
    for name in node._fields:
        value: Any = getattr(node, name, None)
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = [statement for statement in value if not _is_text(statement)]
        # versions differ in the fields that they leave empty
        if value is not None and value != []:
            fields.append(f"['{name}', {_structure(value)}]")
    return f"['{type(node).__name__}', [{', '.join(fields)}]]"


def _path(module: str) -> Path | None:
    """Return the file of a module of this package, or None where the name is no module of it."""
    package, *parts = module.split(".")
    if package != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*parts)
    return next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of this package that some code imports, wherever the import stands."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # a name may be a module or what a module holds
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            # Python runs the packages around a module first
            yield from filter(_path, (".".join(parts[:end]) for end in range(1, len(parts) + 1)))


@functools.cache
def _read(source: str) -> tuple[str, frozenset[str]]:
    """Return code without comments, layout and docstrings, and what it imports of this package."""
    tree = ast.parse(source)
    return _structure(tree), frozenset(_imports(tree))


def _source(root: str) -> str:
    """Return the code of a module, or of the cells of a notebook."""
    if not root.endswith(".ipynb"):
        path = _path(root)
        if path is None:
            raise ValueError(f"{root} is no module of {PACKAGE.name}")
        return path.read_text(encoding="utf-8")
    cells = json.loads(Path(root).read_text(encoding="utf-8"))["cells"]
    return "\n".join(_python("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code")


def _python(cell: str) -> str:
    """Return the code of a notebook's cell as Python, without the commands that IPython alone understands."""
    if _parses(cell):
        return cell
    from IPython.core.inputtransformer2 import TransformerManager

    # what stands below a %%command may be Python or not
    code = TransformerManager().transform_cell(re.sub(r"\A\s*%%.*", "", cell))
    return code if _parses(code) else ""


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def closure(*roots: str) -> list[str]:
    """Return all modules of this package that some code runs: what it imports, what that imports, and so on.

    Parameters
    ----------
    *roots : str
        Names of modules, for example ``altfreeze.training.trainer``, and paths of notebooks.

    Returns
    -------
    list of str
        Sorted names of modules, those of `roots` among them; no notebooks.

    Raises
    ------
    ValueError
        If a name is no module of this package.
    """
    found: set[str] = set()
    waiting = [*roots]
    while waiting:
        root = waiting.pop()
        if root not in found:
            found.add(root)
            waiting += [*_read(_source(root))[1], *_imports(ast.parse(f"import {root}" if "/" not in root else ""))]
    return sorted(root for root in found if not root.endswith(".ipynb"))


def fingerprint(*roots: str) -> str:
    """Return a hash of all code that some modules run, which ignores comments, layout and docstrings.

    Parameters
    ----------
    *roots : str
        See `closure`. Notebooks are no part of the hash, only what they import.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for module in closure(*roots):
        digest.update(f"{module}\n{_read(_source(module))[0]}\n".encode())
    return digest.hexdigest()[:16]


def file_of_module(name: str) -> Path | None:
    """Return the file of a module of the user's, found without running any code, or None where there is none.

    Parameters
    ----------
    name : str
        With dots, looked for in the folder of the call and where Python looks.
    """
    folders = ["", *sys.path]
    for part in name.split(".")[:-1]:
        found = PathFinder.find_spec(part, folders)
        if found is None or found.submodule_search_locations is None:
            return None
        folders = list(found.submodule_search_locations)
    found = PathFinder.find_spec(name.rpartition(".")[2], folders)
    return Path(found.origin) if found and found.origin and found.has_location else None


def code_of_factory(network: str) -> str | None:
    """Return a hash of the file in which a network's factory stands, None of a network that is built in.

    Parameters
    ----------
    network : str
        ``package.module:factory``, or a name without a colon.
    """
    path = file_of_module(network.partition(":")[0]) if ":" in network else None
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what git says of the folder of this package, in English; a status that is not 0 where it says nothing."""
    command = ["git", "-C", str(PACKAGE), *arguments]
    english = os.environ | {"LC_ALL": "C"}
    try:
        return subprocess.run(command, env=english, capture_output=True, encoding="utf-8", errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def git_state() -> dict[str, Any]:
    """Return the commit of the checkout that runs and whether tracked files differ from it.

    Returns
    -------
    dict
        ``commit`` (40 hexadecimal digits) and ``dirty`` (bool); both None outside of a git
        checkout. Where there is one that git does not read, as another user owns it, both
        are None too, and ``refused`` is the folder.
    """
    commit = _git("rev-parse", "HEAD")
    if commit.returncode:
        owned = re.search(r"dubious ownership in repository at '(.*)'", commit.stderr)
        return {"commit": None, "dirty": None} | ({"refused": owned[1]} if owned else {})
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip()) if status.returncode == 0 else None}


def commit_in_words(state: dict[str, Any]) -> str:
    """Return the commit of a state of git, or why there is none.

    Parameters
    ----------
    state : dict
        See `git_state`.

    Returns
    -------
    str
    """
    if state.get("refused"):
        folder = state["refused"]
        return f"unknown, as {folder} belongs to another user (git config --global --add safe.directory {folder})"
    return state["commit"] or "no git checkout"


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, this package and the named distributions.

    Parameters
    ----------
    *packages : str
        Names of installed distributions.

    Returns
    -------
    dict of str to str
    """
    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "altfreeze": VERSION, **found}


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the model of this machine's processor, or its kind where the system does not tell a model."""
    try:
        found = re.search(r"^model name\s*: *(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def gpu_is_here() -> bool:
    """Return whether this machine has an NVIDIA GPU, without importing torch.

    Returns
    -------
    bool
    """
    return any(Path("/dev").glob("nvidia[0-9]*"))
