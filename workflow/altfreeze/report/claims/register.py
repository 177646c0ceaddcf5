"""The register of claims: who published what, and which comparison of a study tests it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from altfreeze.study.mistakes import key_of, meant, quoted
from altfreeze.study.reading import read
from altfreeze.study.values import STRICT, EachOnce, Name, ShareAboveZero
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import BUDGETS, CLOCKS, PANELS

_Text = Annotated[str, Field(min_length=1, max_length=2000)]
_FIXED = ConfigDict(**STRICT, frozen=True)
# which expectations a measure can meet
_OF_ENDS = ("better", "not better", "worse", "not worse")
_OF_COSTS = ("lower", "not lower")
_MEASURES = {
    "end": (_OF_ENDS, tuple(BUDGETS)),
    "cost": (_OF_COSTS, ("flops", "seconds")),
    "time": (_OF_COSTS, tuple(CLOCKS)),
}


def _entry(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Expectation(BaseModel):
    """One comparison that tests a claim."""

    model_config = _FIXED

    strategy: Annotated[dict[str, Any], BeforeValidator(_entry)]
    """name of a strategy, or its name with the parameters that it must have in the study"""
    control: Name = "standard"
    """label of what it is compared with"""
    measure: Literal["end", "cost", "time"]
    """`end`: the study's metric on the test part; `cost`: what the whole training spends; `time`: what is spent until \
the study's primary target"""
    budget: Literal[tuple(dict.fromkeys((*BUDGETS, *CLOCKS)))]  # type: ignore[valid-type]
    """what both have spent when they are read, or is counted of a cost or a time"""
    expects: Literal[*_OF_ENDS, *_OF_COSTS]  # type: ignore[valid-type]
    """what the claim says of the strategy against the control"""
    by: ShareAboveZero | None = None
    """by how much, as a share; of `not worse` and `not better` how much is allowed. Without it, the study's margin"""
    panel: Literal[PANELS] = "all"  # type: ignore[valid-type]
    """data sets that are taken together"""

    @model_validator(mode="after")
    def _fit(self) -> "Expectation":
        expected, budgets = _MEASURES[self.measure]
        wrong = [
            (key, getattr(self, key), ", ".join(allowed))
            for key, allowed in (("expects", expected), ("budget", budgets))
            if getattr(self, key) not in allowed
        ]
        if self.control != "standard" and (self.measure, self.budget) != ("end", "own"):
            wrong.append(("control", self.control, "standard, or another for measure end and budget own"))
        if "name" not in self.strategy:
            wrong.append(("strategy", self.strategy, "a name, or keys with one of them name"))
        for key, value, allowed in wrong:
            said = f"{key} is {quoted(value)}, which is not allowed for measure {self.measure}; allowed: {allowed}"
            raise PydanticCustomError("fit", "{said}", {"said": said})
        return self


class Claim(BaseModel):
    """What somebody published, and how it is tested here."""

    model_config = _FIXED

    name: Name
    """of the entry"""
    who: _Text
    """authors"""
    title: _Text
    where: _Text
    """venue, or what else it is"""
    year: Annotated[int, Field(ge=1900, le=2100)]
    address: Annotated[str, Field(pattern=r"^https://[^\s<>\"()]+$")]
    read: Annotated[list[Literal["paper", "abstract", "code", "documentation"]], Field(min_length=1), *EachOnce]
    """what of the source was read; of a paper, the parts that the strategy's docstring names"""
    claim: _Text
    """what is claimed, in words of our own"""
    networks: _Text
    """on which networks and data"""
    tests: list[Expectation]
    """what has to be found for the claim to hold; none where nothing here tests it"""
    explained_by: Name | None = None
    """label of the cheapest control that may explain a gain"""
    untested: _Text
    """what of it cannot be tested here"""
    caveat: _Text
    """what a finding here does not say"""


class _Register(BaseModel):
    model_config = _FIXED

    claims: Annotated[list[Claim], Field(min_length=1)]


def _sentence_on(error: Any) -> str:
    """Return what is wrong at a key and what is allowed; pydantic says the latter."""
    *inner, last = path = error["loc"]
    if error["type"] == "missing":
        return f"{key_of(tuple(inner))}: the key {last} is missing"
    if error["type"] == "extra_forbidden":
        known = (Expectation if "tests" in inner else Claim if "claims" in inner else _Register).model_fields
        return f"{key_of(tuple(path))}: unknown key; {meant(last, known)}allowed: {', '.join(known)}"
    if error["type"] in ("fit", "twice"):
        return f"{key_of(tuple(path))}: {error['msg']}"
    allowed = error["msg"][:1].lower() + error["msg"][1:]
    return f"{key_of(tuple(path))}: {quoted(error['input'])} is not allowed; {allowed}"


def read_claims(path: Path | str) -> list[Claim]:
    """Return the claims of a register.

    Parameters
    ----------
    path : path
        YAML.

    Raises
    ------
    InputError
        With one line for each mistake, with file and key.
    """
    try:
        claims = _Register.model_validate(read(path)).claims
    except ValidationError as error:
        lines = dict.fromkeys(map(_sentence_on, error.errors(include_url=False)))
        raise InputError(*(f"{path}: {line}" for line in lines)) from None
    names = [claim.name for claim in claims]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: claims: {', '.join(sorted(twice))} stands twice; allowed: each name once")
    return claims
