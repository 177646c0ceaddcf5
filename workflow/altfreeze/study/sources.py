"""Kinds of sources of data sets; the first line of each says what it is, the text below a key what that means."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from altfreeze.study.keel import KEEL, LICENCE
from altfreeze.study.values import STRICT, EachOnce, NonNegative, Path, Positive, Share, each_once

_Samples = Annotated[int, Field(ge=20, le=10_000_000)]
_Features = Annotated[int, Field(ge=1, le=100_000)]
_Classes = Annotated[int, Field(ge=2, le=100_000)]
_Name = Annotated[str, Field(min_length=1, max_length=1000)]
# more are more than torch allows
_Shape = Annotated[list[Annotated[int, Field(ge=1, le=1_000_000)]], Field(min_length=1, max_length=8)]
_Columns = Annotated[list[str], *EachOnce]
_Character = Annotated[str, Field(min_length=1, max_length=1)]
# of two alternatives, a mistake in one would be told as two
_Paths = Annotated[
    Path | Annotated[list[Path], Field(min_length=1, json_schema_extra={"uniqueItems": True})],
    AfterValidator(each_once),
]


@with_config(STRICT)
class Shipped(TypedDict):
    """They come with scikit-learn."""

    kind: Literal["iris", "wine", "breast_cancer", "digits"]


@with_config(STRICT)
class Classification(TypedDict):
    """Gaussian clusters on the corners of a cube."""

    kind: Literal["classification"]
    samples: _Samples
    features: _Features
    informative: _Features
    classes: _Classes
    class_separation: NotRequired[Positive]
    """1.0"""
    label_noise: NotRequired[Share]
    """0"""


@with_config(STRICT)
class Moons(TypedDict):
    """Two half circles, one in the other."""

    kind: Literal["moons"]
    samples: _Samples
    noise: NonNegative
    """standard deviation"""


@with_config(STRICT)
class Circles(TypedDict):
    """A circle in a circle."""

    kind: Literal["circles"]
    samples: _Samples
    noise: NonNegative
    """standard deviation"""
    factor: Annotated[float, Field(gt=0, lt=1)]
    """radius of the inner circle over the outer one's"""


@with_config(STRICT)
class Spirals(TypedDict):
    """Arms of a spiral."""

    kind: Literal["spirals"]
    samples: _Samples
    arms: _Classes
    """one class each"""
    turns: Positive
    noise: NonNegative
    """standard deviation"""


@with_config(STRICT)
class GaussianQuantiles(TypedDict):
    """Nested shells of a Gaussian."""

    kind: Literal["gaussian_quantiles"]
    samples: _Samples
    features: _Features
    classes: _Classes
    """shells"""
    label_noise: NotRequired[Share]
    """0"""


@with_config(STRICT)
class Mnist1d(TypedDict):
    """MNIST-1D: noisy series of 40 numbers that are drawn digits, of shape [1, 40]."""

    kind: Literal["mnist1d"]
    samples: _Samples
    """5000 in the published set"""


@with_config(STRICT)
class Npz(TypedDict):
    """An npz file of numbers: rows of any shape, and their classes."""

    kind: Literal["npz"]
    path: Path
    features: NotRequired[_Name]
    """name of the array, `X`"""
    target: NotRequired[_Name]
    """`y`"""
    shape: NotRequired[_Shape]
    """in which networks take a row, as [channels, height, width]; MLPs take its numbers in one line"""


@with_config(STRICT)
class Csv(TypedDict):
    """A file of text, or several of one table; compressed if its name ends in .gz, .bz2, .xz or .zip."""

    kind: Literal["csv"]
    path: _Paths
    """a list: their rows below each other"""
    target: _Name
    """a column"""
    split: NotRequired[_Name]
    """a column of the words train, validation and test: the same split for every seed; without validation, each seed \
draws that from train"""
    groups: NotRequired[_Name]
    """a column, as of persons, whose rows are kept in one part; no feature. The split is drawn once, for \
all seeds"""
    test_path: NotRequired[_Paths]
    """a file or a list of more rows, which are the test part"""
    drop: NotRequired[_Columns]
    """columns to leave out"""
    keep: NotRequired[_Columns]
    """columns to take as they are, though refused"""
    shape: NotRequired[_Shape]
    """in which networks take the other columns, as [channels, height, width]; constant ones then stay"""
    separator: NotRequired[_Character]
    """`,`"""
    decimal: NotRequired[_Character]
    """`.`"""
    thousands: NotRequired[_Character]
    """none"""
    missing: NotRequired[Annotated[list[str | int | float], *EachOnce]]
    """marks beside the empty field, as `["?", NA]`"""
    header: NotRequired[Literal["none"]]
    """`none`: the first line is a row"""
    columns: NotRequired[Annotated[list[_Name], Field(min_length=1), *EachOnce]]
    """their names where there is no header"""


@with_config(STRICT)
class Arrow(TypedDict):
    """A file, or several of one table."""

    kind: Literal["parquet", "feather"]
    path: _Paths
    """a list: their rows below each other"""
    target: _Name
    """a column"""
    split: NotRequired[_Name]
    """a column of the words train, validation and test: the same split for every seed; without validation, each seed \
draws that from train"""
    groups: NotRequired[_Name]
    """a column, as of persons, whose rows are kept in one part; no feature. The split is drawn once, for \
all seeds"""
    test_path: NotRequired[_Paths]
    """a file or a list of more rows, which are the test part"""
    drop: NotRequired[_Columns]
    """columns to leave out"""
    keep: NotRequired[_Columns]
    """columns to take as they are, though refused"""
    shape: NotRequired[_Shape]
    """in which networks take the other columns, as [channels, height, width]; constant ones then stay"""


@with_config(STRICT)
class OpenML(TypedDict):
    """Either id, or name and version. Downloaded once to scikit-learn's cache (`SCIKIT_LEARN_DATA`)."""

    kind: Literal["openml"]
    id: NotRequired[Annotated[int, Field(ge=1)]]
    name: NotRequired[_Name]
    version: NotRequired[Annotated[int, Field(ge=1)]]
    drop: NotRequired[_Columns]
    """columns to leave out"""
    keep: NotRequired[_Columns]
    """columns to take as they are, though refused"""
    shape: NotRequired[_Shape]
    """in which networks take the other columns, as [channels, height, width]; constant ones then stay"""


@with_config(STRICT)
class Keel(TypedDict):
    """A table of the KEEL repository, see below. Downloaded once by pip to `~/.cache/altfreeze` (`XDG_CACHE_HOME`)."""

    kind: Literal["keel"]
    name: Literal[tuple(KEEL)]  # type: ignore[valid-type]
    """one of the table below"""
    shape: NotRequired[_Shape]
    """in which networks take its columns, as [channels, height, width]; constant ones then stay"""


def _named_once(source: dict[str, Any]) -> dict[str, Any]:
    if source.keys() & {"id", "name", "version"} not in ({"id"}, {"name", "version"}):
        raise PydanticCustomError("either", "is not allowed; allowed: either id, or name and version")
    return source


def _written_so(source: dict[str, Any]) -> dict[str, Any]:
    if ("header" in source) != ("columns" in source):
        raise PydanticCustomError("either", "is not allowed; allowed: `header: none` and columns, or neither")
    if source.get("decimal", ".") == source.get("thousands"):
        raise PydanticCustomError(
            "either", "is not allowed; allowed: decimal (unless stated, a dot) and thousands that differ"
        )
    return source


def _split_once(source: dict[str, Any]) -> dict[str, Any]:
    if {"split", "test_path"} <= source.keys():
        raise PydanticCustomError("either", "is not allowed; allowed: split or test_path, or neither")
    return source


def fixes_test_part(source: dict[str, Any]) -> bool:
    """Return whether the test part of a source is the same for every seed.

    Parameters
    ----------
    source : dict
    """
    return not source.keys().isdisjoint(("split", "groups", "test_path"))


# of sets whose features have places
_SHAPES = {"digits": [1, 8, 8], "mnist1d": [1, 40]}


def shape_of(source: dict[str, Any]) -> list[int] | None:
    """Return the shape in which networks take a row of a source, None where its features have no places.

    Parameters
    ----------
    source : dict
    """
    return source.get("shape", _SHAPES.get(source["kind"]))


# of the sets that scikit-learn ships, as its descriptions of them say
SHIPPED = {
    "iris": "UCI, Iris; scikit-learn's copy is that of R, which differs in two rows",
    "wine": "UCI, Wine",
    "breast_cancer": "UCI, Breast Cancer Wisconsin (Diagnostic)",
    "digits": "UCI, Optical Recognition of Handwritten Digits: its test set",
}


def origin_of(source: dict[str, Any]) -> dict[str, str]:
    """Return what is known of where a source is from.

    Parameters
    ----------
    source : dict

    Returns
    -------
    dict
        ``origin`` and ``licence`` in words; empty where the configuration knows more than this program.
    """
    kind = source["kind"]
    if kind in SHIPPED:
        return {"origin": SHIPPED[kind], "licence": "CC BY 4.0, as UCI's page of the set states"}
    return {"origin": KEEL[source["name"]].origin, "licence": LICENCE} if kind == "keel" else {}


def paths_of(source: dict[str, Any], *keys: str) -> list[str]:
    """Return the files that a source is read from.

    Parameters
    ----------
    source : dict
    *keys : str
        ``path`` or ``test_path``; none for both.
    """
    stated = [source.get(key, []) for key in keys or ("path", "test_path")]
    return [path for paths in stated for path in (paths if isinstance(paths, list) else [paths])]


_ONE_WAY = {"allOf": [{"oneOf": [{"required": ["id"]}, {"required": ["name", "version"]}]}]}
MADE = ("classification", "moons", "circles", "spirals", "gaussian_quantiles", "mnist1d")
_NOT_BOTH: dict[str, Any] = {"not": {"required": ["split", "test_path"]}}
_BOTH = _NOT_BOTH | {"dependentRequired": {"header": ["columns"], "columns": ["header"]}}
Source = Annotated[
    Shipped
    | Classification
    | Moons
    | Circles
    | Spirals
    | GaussianQuantiles
    | Mnist1d
    | Npz
    | Annotated[Csv, AfterValidator(_written_so), AfterValidator(_split_once), Field(json_schema_extra=_BOTH)]
    | Annotated[Arrow, AfterValidator(_split_once), Field(json_schema_extra=_NOT_BOTH)]
    | Keel
    | Annotated[OpenML, AfterValidator(_named_once), Field(json_schema_extra=_ONE_WAY)],
    Field(discriminator="kind"),
]
