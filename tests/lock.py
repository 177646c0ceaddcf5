"""Write `requirements.lock` to standard output (`make lock`), by an interpreter that has requirements.txt.

The lock names the versions of all that requirements.txt needs, directly or not, as they are installed beside this
interpreter. It is given to pip as constraints: what another platform, or an older Python, needs besides or instead is
chosen by pip.
"""

import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# the Python that all must serve
OLDEST = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"].lstrip(">=")


def requirements(path: Path = ROOT / "requirements.txt") -> list[Requirement]:
    """Return the lines of a file of requirements that are no comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def locked(wanted: Iterable[Requirement]) -> dict[str, str]:
    """Return the version of each installed distribution that some requirements need, by name."""
    found: dict[str, str] = {}
    waiting = [(requirement, frozenset({""})) for requirement in wanted]
    seen = set()
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name, asked = canonicalize_name(requirement.name), frozenset({"", *requirement.extras})
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        distribution = metadata.distribution(name)
        # a build for one kind of machine has its name behind a plus sign
        found[name] = distribution.version.partition("+")[0]
        waiting += [(Requirement(text), asked) for text in distribution.requires or []]
    return dict(sorted(found.items()))


def marker(name: str) -> str:
    """Return the condition under which a version is locked, empty if the oldest Python can have it."""
    needed = SpecifierSet(metadata.metadata(name).get("Requires-Python") or "")
    if needed.contains(OLDEST):
        return ""
    return " ; " + " and ".join(f'python_full_version {one.operator} "{one.version}"' for one in needed)


def lock_text() -> str:
    """Return the text of the lock."""
    lines = [f"{name}=={version}{marker(name)}" for name, version in locked(requirements()).items()]
    return "\n".join(
        ["# All that requirements.txt needs, made by: python tests/lock.py > requirements.lock", *lines, ""]
    )


if __name__ == "__main__":
    print(lock_text(), end="")
