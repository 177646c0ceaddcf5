"""Join the seeds of two folders of results of one study into a third, from which the workflow makes the tables."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from altfreeze.study.grid import Pack, Study, tuning_file
from altfreeze.study.mistakes import quoted
from altfreeze.study.reading import read_study, study_of
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.tables.agreement import difference, is_same_platform
from altfreeze.tables.logs import read_flow, read_pack
from altfreeze.tables.schema import CELL
from altfreeze.training.tuning import tuned_cell

# keys by which folders of one study may differ: whose seeds they hold, where and how those were trained
_OWN = ("results", "first_seed", "seeds", "seeds_per_job", "variation_seeds", "device", "checkpoint_seconds", "fork")


class _Part(NamedTuple):
    """One of the folders: its study, the manifests of the packs that are there, its data sets' hashes, its mistakes."""

    folder: Path
    study: Study
    manifests: dict[Pack, dict[str, Any]]
    hashes: dict[str, str]
    mistakes: list[str]

    def stem(self, pack: Pack) -> Path:
        return self.folder / "runs" / pack.stem

    def read(self, pack: Pack) -> tuple[Any, dict[str, Any]]:
        """Return log and manifest of a pack, checked as the tables' are."""
        seeds = range(pack.first_seed, pack.last_seed + 1)
        cell = tuned_cell(self.study, self.folder, pack[:4])
        rows, manifest = read_pack(self.stem(pack), cell, seeds, self.hashes[pack.dataset])
        if self.study.gradient_flow:
            read_flow(self.stem(pack), {name: getattr(pack, name) for name in CELL}, manifest["flow_sha256"])
        return rows, manifest


def merge(one: Path, other: Path, into: Path) -> str:
    """Write the packs of two folders of results, with data, tunings and timing, into a new folder.

    The studies may differ in `_OWN` alone. A pack that is in both has to have the same numbers, bit by bit where it
    was trained alike and else within `altfreeze.tables.agreement.tolerance`; it is taken from the first folder, and so
    is the timing, where it has one. What neither has is left for the workflow to train.

    Parameters
    ----------
    one, other : pathlib.Path
        Folders of results.
    into : pathlib.Path
        Folder to write: a new or an empty one.

    Returns
    -------
    str
        What was joined, and the call that makes its tables and report.

    Raises
    ------
    InputError
        With one line for each reason why they cannot be joined.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InputError(f"{into}: is there already; allowed: a new folder")
    parts = (_read_part(one), _read_part(other))
    mistakes = [*_different_keys(*parts), *parts[0].mistakes, *parts[1].mistakes, *_different_files(*parts)]
    if mistakes:
        raise InputError(*dict.fromkeys(mistakes))
    study = _joined(*parts, into)
    packs = {pack: part for pack in study.packs for part in reversed(parts) if pack in part.manifests}
    timing = _copy(study, parts, packs, into)
    both = sum(pack in parts[0].manifests and pack in parts[1].manifests for pack in packs)
    left = len({pack for part in parts for pack in part.manifests} - packs.keys())
    seeds = study.seeds_of(PRIMARY_RECIPE)
    said = [f"seeds {seeds[0]}-{seeds[-1]}", f"{len(packs)} packs ({both} in both, alike)"]
    said += [f"{len(study.packs) - len(packs)} still to train"] if len(packs) < len(study.packs) else []
    said += [f"{left} of variations left out, whose seeds would leave a gap"] if left else []
    said.append(f"seconds measured in {timing}" if timing else "seconds not measured yet")
    return f"{into}: {', '.join(said)}. Tables and report: snakemake --cores all --configfile {into / 'study.json'}"


# ---- what is read and checked


def _read_part(folder: Path) -> _Part:
    """Return what is in a folder; files that are missing or were edited are mistakes, packs that are not there none."""
    study = read_study(folder / "study.json")
    part = _Part(folder, study, {}, {}, [])
    for name in study.datasets:
        path = folder / "data" / f"{name}.npz"
        if path.is_file():
            part.hashes[name] = sha256_of_file(path)
        else:
            part.mistakes.append(f"{path}: missing; a data set of the study is not there")
    for pack in study.packs:
        stem = part.stem(pack)
        there = any(stem.with_name(f"{stem.name}{suffix}").exists() for suffix in (".csv", ".json"))
        if there and pack.dataset in part.hashes:
            try:
                part.manifests[pack] = part.read(pack)[1]
            except InputError as error:
                part.mistakes.extend(error.args)
    return part


def _different_keys(one: _Part, other: _Part) -> Iterator[str]:
    """Yield a line for each key that makes the folders two studies."""
    for key, value in one.study.config.items():
        if key not in _OWN and value != other.study.config[key]:
            stated = f"{quoted(value)} in {one.folder} and {quoted(other.study.config[key])} in {other.folder}"
            yield f"{key}: {stated}; allowed: two folders of one study, which may differ in {', '.join(_OWN)}"


def _different_files(one: _Part, other: _Part) -> Iterator[str]:
    """Yield a line for each data set, tuning, code and pack that is not the same in both."""
    for name in one.hashes.keys() & other.hashes.keys():
        if one.hashes[name] != other.hashes[name]:
            yield f"data/{name}.npz: is not the same file in {one.folder} and {other.folder}"
    codes = {str(manifest["code"]) for part in (one, other) for manifest in part.manifests.values()}
    if len(codes) > 1:
        yield f"packs of {one.folder} and {other.folder} were trained by different code ({', '.join(sorted(codes))})"
    for pack in one.manifests.keys() & other.manifests.keys():
        (first, manifest), (second, again) = (part.read(pack) for part in (one, other))
        if manifest["cell"] != again["cell"]:
            yield f"{pack.stem}: was tuned to another learning rate in {one.folder} than in {other.folder}"
        elif found := difference(first, second, is_same_platform(manifest, again)):
            yield f"{pack.stem}: is in both folders, with other numbers: {found}"


# ---- the study that they make


def _joined(one: _Part, other: _Part, into: Path) -> Study:
    """Return the study of all seeds, whose packs are those of the parts."""
    one, other = sorted((one, other), key=lambda part: part.study.first_seed)
    seeds, more = (part.study.seeds_of(PRIMARY_RECIPE) for part in (one, other))
    if more.start > seeds.stop:
        gap = f"seeds {seeds[0]}-{seeds[-1]} of {one.folder} and {more[0]}-{more[-1]} of {other.folder}"
        raise InputError(f"{gap} leave out {seeds.stop}-{more.start - 1}; allowed: seeds without a gap")
    varied = [min(part.study.seeds, part.study.variation_seeds) for part in (one, other)]
    offset = more.start - seeds.start
    counts = {"seeds": max(seeds.stop, more.stop) - seeds.start}
    counts["variation_seeds"] = max(varied[0], offset + varied[1]) if offset <= varied[0] else varied[0]
    config = one.study.config | {"results": str(into)} | counts
    wanted = {pack for part in (one, other) for pack in part.manifests}
    sizes = {pack.last_seed - pack.first_seed + 1 for pack in wanted}
    for size in sorted(sizes | {counts["seeds"]}, reverse=True):
        study = study_of(config | {"seeds_per_job": size}, str(into))
        # those of a variation whose seeds leave a gap are left out
        taken = {pack for pack in wanted if pack.calibrates or pack.last_seed in study.seeds_of(pack.recipe)}
        if taken <= {*study.packs}:
            return study
    packs = ", ".join(sorted({pack.seeds for pack in wanted if not pack.calibrates}))
    raise InputError(
        f"{one.folder} and {other.folder}: packs of seeds {packs} are no blocks of one size; allowed: seeds of their "
        "own for each, as many as seeds_per_job or a multiple of it"
    )


def _copy(study: Study, parts: Iterable[_Part], packs: dict[Pack, _Part], into: Path) -> Path | None:
    """Write the files of a joined study, all or none; return the folder that the timing is from.

    What the workflow makes of another file is written after it: by their times, nothing is to be made again.
    """
    parts = tuple(parts)
    into.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{into.name}.", suffix=".tmp", dir=into.parent))

    def copy(part: _Part, *names: str) -> None:
        for name in names:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(part.folder / name, made / name)

    try:
        for name in study.datasets:
            copy(parts[0], f"data/{name}.npz", f"data/{name}.json")
        for part in reversed(parts):
            copy(part, *map(tuning_file, study.tunings))
        timed = [part for part in parts if (part.folder / "tables" / "timing.csv").is_file()]
        if timed:
            copy(timed[0], "tables/timing.csv", "tables/timing.json")
        for pack, part in packs.items():
            copy(part, *(f"runs/{pack.stem}{suffix}" for suffix in (".csv", ".flow.csv", ".json")))
        write_json(made / "study.json", study.config)
        # as readable as any other folder
        umask = os.umask(0)
        os.umask(umask)
        made.chmod(0o777 & ~umask)
        os.replace(made, into)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return timed[0].folder if timed else None
