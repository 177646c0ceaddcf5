"""Train packs of a finished study again, from what it recorded, and compare them with what it recorded of them."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from altfreeze.study.grid import Pack, Study
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.agreement import difference, is_same_platform, tolerance
from altfreeze.tables.logs import read_pack
from altfreeze.training.job import choose_device, run
from altfreeze.training.tuning import tuned_cell


class Verified(NamedTuple):
    """A pack that was trained again: whether the same bits were asked for, and how it differs, if it does."""

    pack: Pack
    exact: bool
    differs: str | None


def chosen(study: Study, share: float, seed: int) -> list[Pack]:
    """Return a random share of a study's packs, at least one, in the order of the study.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    share : float
        Above 0 to 1.
    seed : int
        Of the draw.
    """
    count = math.ceil(share * len(study.packs))
    drawn = np.random.default_rng(seed).choice(len(study.packs), count, replace=False)
    return [study.packs[place] for place in sorted(drawn)]


def verify(study: Study, results: Path, share: float, seed: int) -> Iterator[Verified]:
    """Train a random share of a study's packs again and compare each with its log, one after the other.

    A pack is trained from the stored data set, at the learning rate that was chosen for it, on the kind of device
    that its manifest names or, where there is none, on the CPU.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
        As ``study.json`` of the results says.
    results : pathlib.Path
        Folder of results.
    share, seed
        See `chosen`.

    Yields
    ------
    Verified
        What is missing, was edited or is not what the study says differs, too.
    """
    for pack in chosen(study, share, seed):
        try:
            yield _again(study, results, pack)
        except InputError as error:
            yield Verified(pack, False, str(error))


def report(study: Study, results: Path, share: float, seed: int) -> int:
    """Print a line for each pack that differs, as soon as it was trained again, and what was found in all.

    Parameters
    ----------
    study, results, share, seed
        See `verify`.

    Returns
    -------
    int
        How many packs differ.
    """
    packs = []
    for verified in verify(study, results, share, seed):
        packs.append(verified)
        if verified.differs:
            print(f"{verified.pack.stem}: {verified.differs}", flush=True)
    same = [verified for verified in packs if not verified.differs]
    exact = sum(verified.exact for verified in same)
    found = [f"{exact} gave the same bits"]
    if near := len(same) - exact:
        allowed = f"the mean accuracy of n runs within {tolerance(1):g}/√n after each epoch"
        found.append(f"{near} were made elsewhere and are the same within the tolerance ({allowed})")
    found.append(f"{len(packs) - len(same)} differ")
    print(f"{len(packs)} of {len(study.packs)} packs trained again (--seed {seed}): {', '.join(found)}")
    return len(packs) - len(same)


def _again(study: Study, results: Path, pack: Pack) -> Verified:
    """Train a pack again into a folder of its own, as the workflow does, and compare the two."""
    data, stem = results / "data" / f"{pack.dataset}.npz", results / "runs" / pack.stem
    if not data.is_file():
        raise InputError(f"{data}: missing; its packs cannot be trained again")
    seeds, sha256 = range(pack.first_seed, pack.last_seed + 1), sha256_of_file(data)
    cell = tuned_cell(study, results, pack[:4])
    recorded, manifest = read_pack(stem, cell, seeds, sha256)
    device = "cuda" if manifest["device"] == choose_device("auto") == "cuda" else "cpu"
    with tempfile.TemporaryDirectory(prefix="altfreeze-verify-") as folder:
        made_at = Path(folder, "pack")
        log, manifest_path, flow = (made_at.with_suffix(suffix) for suffix in (".csv", ".json", ".flow.csv"))
        run(data, cell, seeds, device, manifest["threads"], log, manifest_path, flow if study.gradient_flow else None)
        made, again = read_pack(made_at, cell, seeds, sha256)
    exact = is_same_platform(manifest, again)
    differs = difference(recorded, made, exact)
    if exact and study.gradient_flow and not differs:
        path = stem.with_name(f"{stem.name}.flow.csv")
        same = path.is_file() and sha256_of_file(path) == again["flow_sha256"]
        differs = None if same else f"{path} is not the gradient flow that is observed"
    return Verified(pack, exact, differs)
