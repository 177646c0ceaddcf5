"""Load or make the data set that a source of the configuration describes.

The features are raw: splitting, imputing and standardising come later, because they depend on a run's seed.
"""

import http.client
import math
import warnings
import zlib
from typing import Any

import numpy as np

from altfreeze.data.dataset import Dataset, check_classes
from altfreeze.data.frames import LARGEST_NUMBER, Table, dataset_of_table
from altfreeze.data.keel import read_keel
from altfreeze.data.mnist1d import make_mnist1d
from altfreeze.data.readers import read_files, read_npz
from altfreeze.study.sources import origin_of, shape_of
from altfreeze.support.errors import InputError
from altfreeze.support.messages import quoted, reason
from altfreeze.support.randomness import stream_seed


def load_dataset(name: str, source: dict[str, Any], study_seed: int) -> Dataset:
    """Load or make the data set that `source` describes.

    Parameters
    ----------
    name : str
        Name of the data set in the study; part of the key of the random stream of a made set.
    source : dict
        ``kind`` and its parameters: ``iris``, ``wine``, ``breast_cancer``, ``digits`` (bundled with scikit-learn);
        ``classification``, ``moons``, ``circles``, ``spirals``, ``gaussian_quantiles``, ``mnist1d`` (made); ``npz``,
        ``csv``, ``parquet``, ``feather`` (files, a relative path starts at the working directory; the last two store
        categories of numbers as numbers);
        ``openml`` (fetched once, then read from scikit-learn's cache, whose place the environment variable
        SCIKIT_LEARN_DATA sets); ``keel`` (downloaded once, see `altfreeze.data.keel`).
    study_seed : int
        Seed of the study; made sets with the same study seed, name and source are equal.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the source cannot be read or made, or is not a classification data set with numbers, text and booleans as
        features and at least two classes of at least 5 rows each.
    """
    where = f"data set {quoted(name)}"
    kind = source["kind"]
    if kind in _BUNDLED:
        dataset = _load_bundled(kind)
    elif kind == "npz":
        dataset = read_npz(source, where)
    elif kind in _MADE:
        dataset = _make(name, source, study_seed, where)
    else:
        table = _read_table(source, where)
        dataset = dataset_of_table(table, source, made_set_seed(study_seed, name, "groups"))
    check_classes(dataset.y, dataset.class_names, where)
    shape, features = shape_of(source), dataset.X.shape[1]
    if shape and math.prod(shape) != features:
        raise InputError(
            f"{where}: shape {shape} is of {math.prod(shape)} numbers, and its rows have {features}; allowed: a shape "
            f"of {features}"
        )
    return dataset


# ---- bundled with scikit-learn

_BUNDLED = {"iris": "load_iris", "wine": "load_wine", "breast_cancer": "load_breast_cancer", "digits": "load_digits"}


def _load_bundled(kind: str) -> Dataset:
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, _BUNDLED[kind])()
    return Dataset(
        X=np.asarray(bunch.data, dtype=np.float64),
        y=np.asarray(bunch.target, dtype=np.int64),
        class_names=[str(label) for label in bunch.target_names],
        feature_names=[str(feature) for feature in bunch.feature_names],
        notes=dict(origin_of({"kind": kind})),
    )


# ---- made


def _make_classification(source: dict[str, Any], seed: int, noise_seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.datasets import make_classification

    X, y = make_classification(
        n_samples=source["samples"],
        n_features=source["features"],
        n_informative=source["informative"],
        n_redundant=0,
        n_classes=source["classes"],
        flip_y=source.get("label_noise", 0),
        class_sep=source.get("class_separation", 1.0),
        random_state=seed,
    )
    return X, y, source["classes"]


def _make_moons(source: dict[str, Any], seed: int, noise_seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.datasets import make_moons

    return *make_moons(source["samples"], noise=source["noise"], random_state=seed), 2


def _make_circles(source: dict[str, Any], seed: int, noise_seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.datasets import make_circles

    return (
        *make_circles(source["samples"], noise=source["noise"], factor=source["factor"], random_state=seed),
        2,
    )


def _make_spirals(source: dict[str, Any], seed: int, noise_seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    arms = source["arms"]
    return *make_spirals(source["samples"], arms, source["turns"], source["noise"], seed), arms


def _make_gaussian_quantiles(source: dict[str, Any], seed: int, noise_seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.datasets import make_gaussian_quantiles

    X, y = make_gaussian_quantiles(
        n_samples=source["samples"],
        n_features=source["features"],
        n_classes=source["classes"],
        random_state=seed,
    )
    return X, redraw_labels(y, source["classes"], source.get("label_noise", 0), noise_seed), source["classes"]


_MADE = {
    "classification": _make_classification,
    "moons": _make_moons,
    "circles": _make_circles,
    "spirals": _make_spirals,
    "gaussian_quantiles": _make_gaussian_quantiles,
    "mnist1d": lambda source, seed, noise_seed: (*make_mnist1d(source["samples"], seed), 10),
}


def _make(name: str, source: dict[str, Any], study_seed: int, where: str) -> Dataset:
    """Return a made set, or refuse parameters of which none can be made."""
    kind = source["kind"]
    seed = made_set_seed(study_seed, name)
    noise_seed = made_set_seed(study_seed, name, "label noise")
    try:
        with np.errstate(all="ignore"):
            X, y, classes = _MADE[kind](source, seed, noise_seed)
    except (ValueError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{where}: no {kind} set can be made with these parameters: {reason(error)}") from error
    if not (np.abs(X) <= LARGEST_NUMBER).all():
        raise InputError(
            f"{where}: these parameters make a {kind} set with values that are not finite or beyond {LARGEST_NUMBER:g}"
        )
    return Dataset(
        X=X.astype(np.float64),
        y=y.astype(np.int64),
        class_names=[str(label) for label in range(classes)],
        feature_names=[f"x{number}" for number in range(1, X.shape[1] + 1)],
    )


def made_set_seed(*key: int | str) -> int:
    """Return the random state of the made set named by `key`, usually (study seed, data set name).

    Parameters
    ----------
    *key : int or str
        The parts of the key, in order.

    Returns
    -------
    int
        A number in [0, 2**32), the range scikit-learn allows: the first 32 bits of the key's random stream seed.
    """
    return stream_seed(*key) >> 31


def make_spirals(samples: int, arms: int, turns: float, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make interleaved spirals in the plane, one class an arm.

    A point of arm a at radius r in [0, 1) lies at the angle 2π(turns · r + a / arms), which is Archimedes' spiral; r is
    the square root of a uniform draw, so that the outer windings are not sparser than the inner ones. Two arms are the
    benchmark of [1]_.

    Parameters
    ----------
    samples : int
        Number of rows, spread evenly over the arms.
    arms : int
        Number of classes.
    turns : float
        Windings from the centre to the rim.
    noise : float
        Standard deviation of the Gaussian noise on each coordinate, in units of the outer radius.
    seed : int
        Seed of the draw.

    Returns
    -------
    X : ndarray of float64, shape (samples, 2)
        Coordinates.
    y : ndarray of int64, shape (samples,)
        Arm of each row.

    Raises
    ------
    ValueError
        If `samples` or `noise` is negative.

    References
    ----------
    .. [1] K. J. Lang and M. J. Witbrock, "Learning to Tell Two Spirals Apart", Proceedings of the 1988 Connectionist
       Models Summer School, pp. 52–59, 1988.
    """
    generator = np.random.default_rng(seed)
    y = np.arange(samples, dtype=np.int64) % arms
    radius = np.sqrt(generator.uniform(size=samples))
    angle = 2 * np.pi * (turns * radius + y / arms)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return points + generator.normal(scale=noise, size=points.shape), y


def redraw_labels(y: np.ndarray, classes: int, share: float, seed: int) -> np.ndarray:
    """Draw a share of the labels anew, uniformly over the classes, so that no classifier can be always right.

    The rule is that of ``flip_y`` in scikit-learn's ``make_classification``: about share / classes of the redrawn
    labels stay as they were.

    Parameters
    ----------
    y : ndarray of int, shape (rows,)
        Class indices.
    classes : int
        Number of classes.
    share : float
        Probability in [0, 1] that a label is drawn anew.
    seed : int
        Seed of the draw.

    Returns
    -------
    ndarray of int64, shape (rows,)

    Raises
    ------
    ValueError
        If `share` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"label_noise is {share}, allowed is 0 to 1")
    generator = np.random.default_rng(seed)
    redrawn = generator.uniform(size=len(y)) < share
    return np.where(redrawn, generator.integers(classes, size=len(y)), y).astype(np.int64)


# ---- tables


def _read_table(source: dict[str, Any], where: str) -> Table:
    if source["kind"] == "keel":
        return read_keel(source["name"], where)
    return _fetch_openml(source, where) if source["kind"] == "openml" else read_files(source, where)


def _fetch_openml(source: dict[str, Any], where: str) -> Table:
    """Return the table of a data set of OpenML, from the network or scikit-learn's cache."""
    from sklearn.datasets import fetch_openml

    if "id" in source:
        which = {"data_id": source["id"]}
        where = f"{where}: OpenML id {source['id']}"
    else:
        which = {"name": source["name"], "version": source["version"]}
        where = f"{where}: OpenML {quoted(source['name'])} version {source['version']}"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            bunch = fetch_openml(**which, as_frame=True)
    except OSError as error:
        raise InputError(
            f"{where} cannot be fetched: {reason(error)}; the network is needed once, then scikit-learn's cache serves"
        ) from error
    except (ValueError, KeyError, IndexError, EOFError, zlib.error, http.client.HTTPException) as error:
        raise InputError(
            f"{where} is unknown or cannot be used: {reason(error)}; a dense data set with one target is needed, "
            "and the network once, then scikit-learn's cache serves"
        ) from error
    if len(bunch.target_names) != 1:
        raise InputError(f"{where} has {len(bunch.target_names)} target columns; one is needed")
    messages = [reason(warning.message) for warning in caught]
    return Table(bunch.frame, bunch.target_names[0], where, {"warnings": messages} if messages else {})
