"""How the code is built, in figures, and which limit is broken: `python tests/house.py [CHECKOUT]`.

Measured are the package and the line of progress. The exit status is 1 where a limit is broken.
"""

import ast
import functools
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import grimp

# a wing imports from those before it alone
WINGS = (
    "vocabulary",
    "version",
    "support",
    "statistics",
    "freezing",
    "study",
    "data",
    "training",
    "tables",
    "comparison",
    "report",
    "arguments",
    "cli",
    "__main__",
)


class Figure(NamedTuple):
    """What was measured somewhere."""

    value: int
    place: str


class Law(NamedTuple):
    """What is measured of a checkout, and the most that it may be."""

    words: str
    limit: int
    measure: Callable[[Path], Iterator[Figure]]


def _package(root: Path) -> Path:
    return root / "workflow" / "altfreeze"


def _modules(root: Path) -> list[Path]:
    return sorted(_package(root).rglob("*.py"))


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _wing(path: Path, root: Path) -> str:
    """Return the first folder below the package, or the module that stands there itself."""
    return path.relative_to(_package(root)).parts[0].removesuffix(".py")


def modules_of_folders(root: Path) -> Iterator[Figure]:
    """Count the modules of each folder; `__init__.py` is part of the folder itself."""
    for folder in {path.parent for path in _modules(root)}:
        count = sum(path.suffix == ".py" and path.name != "__init__.py" for path in folder.iterdir())
        yield Figure(count, str(folder.relative_to(root)))


def lines(root: Path) -> Iterator[Figure]:
    """Count the lines of each module and of the line of progress."""
    for path in [*_modules(root), *(root / "workflow").glob("*.py")]:
        yield Figure(len(path.read_text(encoding="utf-8").splitlines()), str(path.relative_to(root)))


def _of_statistics(figure: Figure) -> bool:
    return figure.place.startswith("workflow/altfreeze/statistics/")


def lines_of_functions(root: Path) -> Iterator[Figure]:
    """Count the lines of each function's body, from the first statement after its docstring."""
    for path in [*_modules(root), *(root / "workflow").glob("*.py")]:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[ast.get_docstring(node) is not None :]
                count = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                yield Figure(count, f"{path.relative_to(root)}:{node.lineno} {node.name}")


def complexities(root: Path) -> Iterator[Figure]:
    """Return McCabe's complexity of each function, as ruff's C901 counts it."""
    command = ["ruff", "check", "--isolated", "--no-cache", "--select", "C901", "--output-format", "json"]
    places = [path for path in (_package(root), root / "workflow" / "progress.py") if path.exists()]
    found = subprocess.run(
        [*command, "--config", "lint.mccabe.max-complexity=0", *places], capture_output=True, text=True, check=False
    )
    for fault in json.loads(found.stdout):
        name, _, rest = fault["message"].strip("`").partition("` is too complex (")
        place = f"{Path(fault['filename']).relative_to(root)}:{fault['location']['row']} {name}"
        yield Figure(int(rest.partition(" ")[0]), place)


def imports_backwards(root: Path) -> Iterator[Figure]:
    """Find the imports of a module from a wing that comes after its own, those inside functions too."""
    package = _package(root).name
    graph = grimp.build_graph(package, cache_dir=None)

    def place(module: str) -> int:
        # the package itself comes before all wings
        _, _, rest = module.partition(".")
        wing = rest.partition(".")[0]
        return WINGS.index(wing) if wing else -1

    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            if place(imported) > place(importer):
                yield Figure(1, f"{importer} imports {imported}")


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            yield from (name.id for name in names if not name.id.startswith("__"))


def names_twice(root: Path) -> Iterator[Figure]:
    """Find names of functions, classes and constants that two modules of one wing define."""
    where = defaultdict(set)
    for path in _modules(root):
        for name in _defined(_tree(path)):
            where[_wing(path, root), name].add(str(path.relative_to(_package(root))))
    for (_, name), places in sorted(where.items()):
        if len(places) > 1:
            yield Figure(1, f"{name}: {', '.join(sorted(places))}")


def tests_imported_by_tests(root: Path) -> Iterator[Figure]:
    """Find imports of a test module by another; what two of them need stands in builders.py."""
    for path in sorted((root / "tests").rglob("*.py")):
        for node in ast.walk(_tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if any(part.startswith("test_") for part in name.split(".")):
                    yield Figure(1, f"{path.relative_to(root)}:{node.lineno} imports {name}")


LAWS = (
    Law("modules of a folder", 12, modules_of_folders),
    Law("lines of a module", 400, lambda root: (found for found in lines(root) if not _of_statistics(found))),
    Law("lines of a module of statistics", 700, lambda root: filter(_of_statistics, lines(root))),
    Law("lines of a function", 60, lines_of_functions),
    Law("complexity of a function", 12, complexities),
    Law("imports that run backwards", 0, imports_backwards),
    Law("names that stand twice in a wing", 0, names_twice),
    Law("tests that import tests", 0, tests_imported_by_tests),
)


def broken(law: Law, root: Path) -> list[Figure]:
    """Return the figures of a checkout that are above a law's limit, the largest first."""
    return sorted((figure for figure in law.measure(root) if figure.value > law.limit), reverse=True)


def main() -> None:
    """Print every law's largest figure and all that is above its limit."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    sys.path.insert(0, str(root / "workflow"))
    total = sum(figure.value for figure in lines(root) if figure.place.endswith(".py"))
    print(f"{len(_modules(root))} modules, {total:,} lines")
    faults = {law: broken(law, root) for law in LAWS}
    for law, above in faults.items():
        if law.limit:
            most = max(law.measure(root), default=Figure(0, "nowhere"))
            print(f"{law.words}: {most.value} ({most.place}), at most {law.limit}")
        else:
            print(f"{law.words}: {len(above)}")
        for figure in above:
            print(f"  {f'{figure.value} ' if law.limit else ''}{figure.place}")
    sys.exit(any(faults.values()))


if __name__ == "__main__":
    main()
