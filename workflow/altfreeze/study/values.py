"""Types of the configuration's values, with their bounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

# a key's meaning is the text below it
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
NAME_IN_WORDS = "of 1 to 64 of the characters A-Z a-z 0-9 _ . - that begins with a letter or a digit"


def _in_words(words: str) -> dict[str, str]:
    """Return what a JSON schema says of a pattern to those who read no patterns."""
    return {"$comment": words}


def each_once(values: str | list[Any]) -> str | list[Any]:
    """Return a list, refused if an entry stands twice; what is one text is left alone."""
    if isinstance(values, list) and any(value in values[:position] for position, value in enumerate(values)):
        raise PydanticCustomError("twice", "names an entry twice; allowed: each once")
    return values


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", json_schema_extra=_in_words(NAME_IN_WORDS))]
Path = Annotated[
    str,
    Field(
        pattern=r"^[^{}<>\x00-\x1f]{1,1000}$",
        json_schema_extra=_in_words("of 1 to 1000 characters, none of { } < > among them"),
    ),
]
EachOnce = (AfterValidator(each_once), Field(json_schema_extra={"uniqueItems": True}))
Count = Annotated[int, Field(ge=1, le=1_000_000)]
LargeCount = Annotated[int, Field(ge=1, le=1_000_000_000)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
