"""The keys of a configuration: the one place where type, bounds, default and meaning of each are defined."""

from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from altfreeze.study.entries import Entry
from altfreeze.study.sources import Source
from altfreeze.study.values import (
    STRICT,
    Count,
    EachOnce,
    LargeCount,
    Name,
    NonNegative,
    Positive,
    Share,
    ShareAboveZero,
    ShareBelowOne,
)
from altfreeze.vocabulary import EQUAL_BUDGETS, METRICS, NETWORKS

_StudyName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$",
        json_schema_extra={
            "$comment": "of 1 to 64 letters A-Z a-z, digits, blanks and _ . - that begins with a letter or a digit"
        },
    ),
]
_Results = Annotated[
    str,
    Field(
        pattern=r"^[^-~{}<>\x00-\x1f][^{}<>\x00-\x1f]{0,199}$",
        json_schema_extra={
            "$comment": "of 1 to 200 characters, none of { } < > among them, that starts neither with - nor with ~"
        },
    ),
    AfterValidator(lambda path: str(PurePath(path))),
]
_Factory = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        json_schema_extra={"$comment": "as package.module:factory"},
    ),
]
_Depth = Annotated[int, Field(ge=2, le=1000)]
# YAML reads the word off as false
_Off = BeforeValidator(lambda value: "off" if value is False else value)
# Snakemake takes --config fork=false for a word
_Switch = Annotated[bool, BeforeValidator(lambda value: {"false": False, "true": True}.get(str(value), value))]
_SOME = Field(min_length=1)


class _Recipe(BaseModel):
    """What all strategies have in common, and a variation may change."""

    model_config = ConfigDict(**STRICT, frozen=True)

    network: Literal[tuple(NETWORKS)] | _Factory = "mlp"  # type: ignore[valid-type]
    """what is trained: `mlp`, `cnn`, `resnet` or `transformer`, or a factory of your own as `package.module:factory`, \
see below"""
    width: Count = 64
    """units in each hidden layer; channels of a `cnn` or `resnet`, numbers in a token of a `transformer`"""
    normalisation: Literal["none", "batch", "layer"] = "none"
    """in each layer of a `cnn` or `resnet`, over the `batch`, or over each row's channels and places (`layer`); in a \
`transformer`, `layer` or none"""
    frozen_normalisation: Literal["eval", "train"] = "train"
    """how a frozen layer normalises over a batch: as if it learned, by the batch's statistics, which goes on moving \
its own (`train`), or by its own (`eval`). Read with `normalisation: batch` and by factories, see below"""
    batch_size: LargeCount = 64
    """rows in a batch; the last batch of an epoch may be smaller"""
    dropout: ShareBelowOne = 0.0
    """probability of dropping a hidden unit, after each ReLU; in other networks, a number that a layer but the last \
puts out"""
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = "adam"
    """`sgd` with momentum, `adam`, `adamw`, as in torch.optim; `muon` with adamw for the output layer and biases, \
its updates as large as adamw's, so that one rate serves both"""
    learning_rate: Positive | Literal["tuned"] = "tuned"
    """initial learning rate; `tuned`: chosen among `learning_rates_to_try`"""
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    """`constant`, or `cosine` to zero over the strategy's own budget"""
    momentum: ShareBelowOne = 0.9
    """of sgd; the others do not use it"""
    weight_decay: NonNegative = 0.0
    """added to the gradient by sgd and adam, decoupled by adamw and muon"""
    freeze_period: LargeCount = 1
    """length of a phase, in `freeze_unit`; fewer epochs than the training has"""
    freeze_unit: Literal["epoch", "step"] = "epoch"
    """what a phase is counted in: `epoch` or `step`"""
    first_to_learn: Literal["bottom", "top"] = "top"
    """the group that learns in the first phase: `top` or `bottom`"""
    state_on_thaw: Literal["keep", "reset", "decay"] = "keep"
    """a thawing layer's momenta and step count: `keep`, `reset` to none, or `decay` to what gradients of zero would \
have made of them. Published strategies follow their own rule"""


def _variation() -> Any:
    """Return the type of a variation: any of the recipe's keys, and ``epochs`` for those of every strategy."""
    fields = {name: field.rebuild_annotation() for name, field in _Recipe.model_fields.items()}
    variation = TypedDict("Variation", {"epochs": Count} | fields, total=False)  # type: ignore[misc]
    variation.__doc__ = "Changes of the recipe; `epochs` are those of every strategy."
    return with_config(STRICT)(variation)


if TYPE_CHECKING:
    Variation = dict[str, Any]
else:
    Variation = _variation()


class Configuration(_Recipe):
    """Configuration of a study."""

    study: _StudyName = "default"
    """name, shown in the report"""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    """seed of the whole study; every random draw is keyed by it"""
    results: _Results = "results"
    """folder that everything is written to, relative or absolute, without `{ } < >`; a study of its own deserves a \
folder of its own"""

    datasets: Annotated[list[Name], _SOME, *EachOnce] = ["iris", "wine", "breast_cancer", "digits"]
    """names of the data sets to train on"""
    sources: dict[Name, Source] = {name: {"kind": name} for name in ("iris", "wine", "breast_cancer", "digits")}
    """where each comes from: a name and a `kind` with that kind's keys. A later file replaces a source whole"""

    primary_datasets: Literal["all", "real"] | Annotated[list[Name], Field(min_length=2), *EachOnce] = "all"
    """the panel over which the primary comparison and each mean and test over data sets is made: `all`, `real` (those \
that are not made; `all` where these are fewer than two) or names. The others are trained and shown by themselves"""

    depths: Annotated[list[_Depth], _SOME, *EachOnce] = [4, 6, 8]
    """numbers of weight layers, the output layer included"""
    freeze_ratios: Annotated[list[Share], _SOME, *EachOnce] = [0.3, 0.5, 0.7]
    """shares of the layers in the bottom group: its first round(ratio × depth) layers, which must differ at \
every depth"""
    strategies: Annotated[list[Entry], _SOME] = [
        "alternating",
        "standard_half_updates",
        {"name": "standard_matched_flops", "freeze_ratio": "primary"},
        {"name": "frozen_bottom", "freeze_ratio": "primary"},
        {"name": "frozen_top", "freeze_ratio": "primary"},
        "random_half",
    ]
    """what is trained beside standard training, see below"""
    seeds: Count = 5
    """runs of each cell"""
    first_seed: Annotated[int, Field(ge=0, lt=1_000_000)] = 0
    """the first of them. Two people who share a study give its runs seeds of their own, see below"""
    seeds_per_job: Literal["auto"] | Count = 10
    """seeds that one job trains together, stacked; `auto`: all seeds of a cell, up to 1000. A run's numbers do not \
depend on it"""

    variations: list[Variation] = []
    """the primary comparison again under other recipes: a list of changes to the keys of training and freezing, as \
`{optimizer: sgd, learning_rate: 0.03}`, see below"""
    variation_seeds: Count = 5
    """runs of each cell of a variation, at most `seeds`; of calibration, at most `calibration_seeds`"""

    epochs_standard: Count = 20
    """epochs of standard training"""
    epochs_alternating: Count = 20
    """epochs of every other strategy; `standard_half_updates` and `standard_matched_flops` stop earlier"""
    cache_activations: Annotated[Literal["auto", "off"], _Off] = "auto"
    """`auto`: while the lowest layers stay frozen for two epochs or more, their output is computed once and read (not \
with dropout, not where a frozen layer normalises by the batch, not above 64 MiB a run); `off`: never"""

    calibration_seeds: Count = 5
    """seeds of their own, never compared, on which standard training sets the targets and learning rates are tuned"""
    target_levels: Annotated[list[ShareAboveZero], _SOME, *EachOnce] = [0.9, 0.95, 0.99, 1.0]
    """targets of time-to-target: shares of the way from chance, the best that a constant prediction scores, to the \
median of standard training, in the study's metric on validation data"""
    learning_rates_to_try: Annotated[list[Positive], *EachOnce] = [0.001, 0.003, 0.01, 0.03]
    """where a `learning_rate` is `tuned`: learning rates that every strategy tries on the calibration seeds of each \
data set and depth; it is trained at its best by the study's metric on validation data"""
    gradient_flow: bool = False
    """log each layer's gradient, change and age of optimizer state in every epoch"""
    timing_rounds: Annotated[int, Field(ge=6, le=100_000)] = 15
    """rounds of the timing study, the most, at least 6; in each, every kind of work is timed once"""
    timing_width: Share = 0.05
    """a data set and depth is timed in fewer rounds, 6 at least, once the 95 % interval of the primary strategy's \
speed-up is narrower than this share of it. `0`: never"""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`cpu`, `cuda`, or `auto`: a CUDA GPU where there is one, of its own for each job (`--resources gpu=N` runs N at \
a time; a job too many waits). Changing it trains again"""
    checkpoint_seconds: NonNegative = 30.0
    """seconds of training after which a job keeps its state in the folder `checkpoints` of the results. A killed job \
goes on from it to the same numbers; it is removed when the pack is whole. `0`: never. Changing it reruns nothing"""
    fork: _Switch = True
    """fork the jobs of this machine from one process that has imported what they need, instead of starting each by \
itself; not the timing, those that may use a GPU and those of a cluster, where a group of jobs starts each too. Their \
memory counts what they share with that process. `false`: never. Changing it reruns nothing"""

    primary_depth: Annotated[int, Field(ge=2)] = 6
    """depth of the comparison that the report's first sentence is about; one of `depths`"""
    primary_freeze_ratio: Share = 0.5
    """its freeze ratio; one of `freeze_ratios`"""
    metric: Literal[tuple(METRICS)] = "accuracy"  # type: ignore[valid-type]
    """what a run is scored by: `accuracy`, `balanced_accuracy` (mean over the classes of the share of a class's rows \
that is classified correctly) or `log_loss` (mean cross-entropy, nat; lower is better). The first sentence, targets, \
best epochs and tuning follow it; the two others are compared at the ends of training"""
    primary_budget: Literal[tuple(EQUAL_BUDGETS)] = "flops"  # type: ignore[valid-type]
    """what both have spent when they are read: `epochs`, `updates` (per parameter), `flops` (operations) or `seconds` \
(measured alone)"""
    primary_level: ShareAboveZero = 0.9
    """target of the other half of the answer, how much it costs to come so far; one of `target_levels`"""
    family: Annotated[list[str], *EachOnce] = []
    """labels of strategies that are tested together with the primary one, at its depth and budget: their p-values are \
adjusted by Holm's method. All other comparisons are secondary"""
    equivalence_margin: ShareAboveZero = 0.01
    """a difference below this counts as none; in the unit of `metric`: 0.01 is one point of an accuracy, and 0.01 nat \
of log loss"""
    cost_margin: ShareAboveZero = 0.05
    """a difference in operations or seconds below this share of the reference's counts as none"""


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration, for editors and for what is said of mistakes."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | Configuration.model_json_schema()


def keys() -> dict[str, dict[str, Any]]:
    """Return each key's part of the JSON Schema: ``description``, ``default`` and, where it has one, ``type``."""
    return json_schema()["properties"]
