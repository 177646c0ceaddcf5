"""Parts of a table's split that do not depend on a seed: given by a column or by files, or drawn by groups of rows."""

import itertools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from altfreeze.data.split import VALIDATION_OF_REST, VALIDATION_SHARE, Split
from altfreeze.support.errors import InputError
from altfreeze.support.messages import plural, quoted

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION, TEST = range(len(Split._fields))
# of a class, so that its quarter of the train part is one row at least
_FEWEST_TO_DRAW_FROM = 3


class Rows(NamedTuple):
    """Rows of a table, as their parts are found.

    Attributes
    ----------
    y : ndarray of int64, shape (rows,)
        Class indices.
    class_names : sequence of str
    split : pandas.Series of str, shape (rows,), optional
        Name of each row's part.
    groups : pandas.Series, shape (rows,), optional
        What each row is of: a person, say.
    test_rows : int
        How many of the last rows are the test part, because a file of its own held them; 0 if none did.
    """

    y: np.ndarray
    class_names: Sequence[str]
    split: "pd.Series | None" = None
    groups: "pd.Series | None" = None
    test_rows: int = 0


def parts_of(rows: Rows, where: str, seed: int) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Return the part of each row that is the same for every seed, and what is to be said of it.

    Parts that are not given are drawn once where rows stand in groups: parts of whole groups have other sizes in each
    draw, and the seeds that are trained together need the same.

    Parameters
    ----------
    rows : Rows
    where : str
        What holds the rows, to begin the message of an error.
    seed : int
        Seed of the draw by groups.

    Returns
    -------
    part : ndarray of int8, shape (rows,), or None
        See `altfreeze.data.split.split_of_seed`; None where each seed draws a split of its own.
    notes : dict
        ``split`` and ``groups`` of `altfreeze.data.dataset.Dataset.notes`, where they apply.

    Raises
    ------
    InputError
        If the column of parts holds another word or names no part for training or testing, a group is missing, stands
        in two parts or there are too few, or a part lacks a class.
    """
    y, class_names, split, groups, test_rows = rows
    if split is None and groups is None and not test_rows:
        return None, {}
    part = np.full(len(y), TRAIN, np.int8)
    said = "no part given"
    if split is not None:
        part, said = _named_parts(split, where), f"given by column {quoted(split.name)}"
    elif test_rows:
        part[-test_rows:], said = TEST, "test part given by test_path"
    notes: dict[str, Any] = {}
    given = {*part.tolist()}
    if groups is not None:
        codes = _codes(groups, part, where)
        part = _drawn_by_groups(y, class_names, codes, part, f"{where}: column {quoted(groups.name)}", seed)
        numbers = [len(np.unique(codes[part == place])) for place in (TRAIN, VALIDATION, TEST)]
        notes["groups"] = {"column": groups.name, **dict(zip(Split._fields, numbers, strict=True))}
        if given != {*part.tolist()}:
            said += ", the rest drawn once by groups: the same for every seed"
    is_drawn = not (part == VALIDATION).any()
    if is_drawn:
        said += ", the validation part drawn from the train part by each seed"
    _refuse_lacking(y, class_names, part, is_drawn, where)
    counts = np.bincount(part, minlength=len(Split._fields)).tolist()
    notes["split"] = {"how": said, **dict(zip(Split._fields, counts, strict=True))}
    return part, notes


def _named_parts(split: "pd.Series", where: str) -> np.ndarray:
    """Return the place of each row's part in a split, from its name."""
    known = split.isin(Split._fields).to_numpy()
    at = f"{where}: column {quoted(split.name)}"
    if not known.all():
        row = known.argmin()
        value = "no value" if split.isna().iloc[row] else quoted(split.iloc[row])
        raise InputError(
            f"{at} is the split and holds {value} in data row {row + 1}; allowed: {', '.join(Split._fields)}"
        )
    part = split.map(dict(zip(Split._fields, range(3), strict=True))).to_numpy(dtype=np.int8)
    for place in (TRAIN, TEST):
        if not (part == place).any():
            raise InputError(f"{at} is the split and names no row {Split._fields[place]}; only validation can be drawn")
    return part


def _codes(groups: "pd.Series", part: np.ndarray, where: str) -> np.ndarray:
    """Return the number of each row's group, and refuse groups that stand in two parts that are given."""
    at = f"{where}: column {quoted(groups.name)}"
    absent = groups.isna().to_numpy()
    if absent.any():
        raise InputError(
            f"{at} names the groups and has no value in data row {absent.argmax() + 1}; each row needs one"
        )
    codes, names = groups.factorize()
    for first, second in itertools.combinations((TRAIN, VALIDATION, TEST), 2):
        both = np.intersect1d(codes[part == first], codes[part == second])
        if both.size:
            raise InputError(
                f"{at}: {plural(both.size, 'group')} {quoted(names[both[0]])} "
                f"{f'and {both.size - 1} more ' if both.size > 1 else ''}"
                f"stand{'' if both.size > 1 else 's'} in the parts {Split._fields[first]} and {Split._fields[second]} "
                "that are given; a group can be in one part only"
            )
    return codes


def _drawn_by_groups(
    y: np.ndarray, class_names: Sequence[str], codes: np.ndarray, part: np.ndarray, where: str, seed: int
) -> np.ndarray:
    """Return the parts with those that lack rows drawn from the train part, by whole groups.

    Of the folds of scikit-learn's StratifiedGroupKFold those are taken whose shares of each class are nearest to what
    a split by rows gives.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    lacking = [place for place in (VALIDATION, TEST) if not (part == place).any()]
    if not lacking:
        return part
    share = VALIDATION_SHARE if TEST in lacking else VALIDATION_OF_REST
    rows, folds = np.flatnonzero(part == TRAIN), round(1 / share)
    groups = len(np.unique(codes[rows]))
    if groups < folds:
        raise InputError(f"{where} names {groups} {plural(groups, 'group')} to draw from; at least {folds} are needed")
    for label, name in enumerate(class_names):
        holding = len(np.unique(codes[rows][y[rows] == label]))
        if holding <= len(lacking):
            raise InputError(
                f"{where}: class {quoted(name)} is in {holding} {plural(holding, 'group')} to draw from; it needs "
                f"{len(lacking) + 1}, one in each part"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # that a class has fewer rows than there are folds
        warnings.simplefilter("ignore")
        try:
            held = [fold for _, fold in splitter.split(rows, y[rows], codes[rows])]
        except ValueError:
            raise InputError(f"{where}: no class has {folds} rows to draw from; one needs as many") from None
    counts = np.array([np.bincount(y[rows[fold]], minlength=len(class_names)) for fold in held])
    shares = counts / counts.sum(axis=0)

    def distance(chosen: tuple[int, ...]) -> tuple[bool, float]:
        left = shares.sum(axis=0) - shares[list(chosen)].sum(axis=0)
        return not (shares[list(chosen)].all() and (left > 0).all()), float(np.abs(shares[list(chosen)] - share).max())

    chosen = min(itertools.permutations(range(folds), len(lacking)), key=distance)
    if distance(chosen)[0]:
        raise InputError(
            f"{where}: no split of whole groups was found with every class in every part; give one by `split`"
        )
    part = part.copy()
    for place, fold in zip(lacking, chosen, strict=True):
        part[rows[held[fold]]] = place
    return part


def _refuse_lacking(y: np.ndarray, class_names: Sequence[str], part: np.ndarray, is_drawn: bool, where: str) -> None:
    """Refuse parts without a row of some class; from what a validation part is drawn, each has a few."""
    for place, name in enumerate(Split._fields):
        counts = np.bincount(y[part == place], minlength=len(class_names))
        needed = {TRAIN: _FEWEST_TO_DRAW_FROM, VALIDATION: 0}.get(place, 1) if is_drawn else 1
        if counts.min() < needed:
            raise InputError(
                f"{where}: the {name} part has {counts.min()} {plural(int(counts.min()), 'row')} of class "
                f"{quoted(class_names[int(counts.argmin())])}; it needs at least {needed} of each"
            )
