"""The claims and what was found of them, in Markdown and in a table of text."""

import math
from collections.abc import Sequence

import pandas as pd

from altfreeze.report.blocks.cells import at
from altfreeze.report.claims.findings import ABSENT, FAILS, HOLDS, SAYINGS, UNTESTED, Found, Judged
from altfreeze.report.claims.register import Expectation
from altfreeze.report.words import count, interval, listed, points
from altfreeze.study.grid import Study
from altfreeze.vocabulary import CLOCKS, MEASURES


def tally_of_claims(study: Study, judged: Sequence[Judged]) -> str:
    """Return how many claims hold, and on what that was found."""
    sayings = [each.saying for each in judged]
    counts = [f"{saying}: {sayings.count(saying)}" for saying in SAYINGS if saying in sayings]
    tested = len(judged) - sayings.count(ABSENT) - sayings.count(UNTESTED)
    scope = (
        f"{study.primary_depth}-layer {study.networks} of width {study.width}, trained by {study.optimizer} at a "
        f"{study.learning_rate_schedule} learning rate for {count(study.epochs_standard, 'epoch')} on "
        f"{count(len(study.primary_datasets), 'data set')}, {count(study.seeds, 'seed')} each"
    )
    where = f" {count(tested, 'claim')} {'is' if tested == 1 else 'are'} tested, on {scope}." if tested else ""
    return f"Of {count(len(judged), 'claim')}: {', '.join(counts)}.{where}"


def claims_table(study: Study, judged: Sequence[Judged]) -> pd.DataFrame:
    """Return each claim with a line for each of its tests: what was claimed, whether it holds and what was found."""
    rows = []
    for each in judged:
        lines = [_line(study, each.claim.name, found) for found in each.found] or [("", each.saying, "", "")]
        rows.append([f"{each.claim.name}\n{_source(each)}", *map("\n".join, zip(*lines, strict=True))])
    return pd.DataFrame(rows, columns=["Claim", "Claimed", "Here", "Effect and 95 % interval", "Data sets"])


def _line(study: Study, claim: str, found: Found) -> tuple[str, str, str, str]:
    strategy = "" if _strategy(found) == claim else f"{_strategy(found)}: "
    claimed = f"{strategy}{_short_words(found.test)} {_expected(study, found.test)}"
    if found.saying == ABSENT:
        return claimed, ABSENT, "", ""
    return claimed, found.saying, _effect_in_words(study, found), str(found.datasets)


def _strategy(found: Found) -> str:
    return found.label or found.test.strategy["name"]


def claim_in_words(study: Study, judged: Judged) -> str:
    """Return one claim as a section: what was claimed and by whom, what was found, and what that does not say."""
    claim = judged.claim
    found = [_finding(study, found) for found in judged.found]
    found += [_control(study, judged.control)] if judged.control and judged.control.label else []
    lines = [
        f"## {claim.name} ({_source(judged)}): {judged.saying}",
        f"{claim.claim} Networks and data: {claim.networks}",
        f"{claim.who}: [{claim.title}]({claim.address}), {claim.where}, {claim.year}. Read: {listed(claim.read)}.",
        "\n".join(f"- {line}" for line in found),
        f"Not tested here: {claim.untested}",
        f"Caveat: {claim.caveat}",
    ]
    return "\n\n".join(filter(None, lines))


def _source(judged: Judged) -> str:
    first, *others = judged.claim.who.split(", ")
    return f"{first.split()[-1]}{' et al.' if others else ''} {judged.claim.year}"


def _short_words(test: Expectation) -> str:
    """Return what a test reads, in a word or two."""
    if test.measure == "end":
        return "end"
    clock = CLOCKS[test.budget].words.partition(",")[0]
    return clock if test.measure == "cost" else f"{clock} to target"


def _what(study: Study, found: Found) -> str:
    """Return what a test compares: a strategy, with what, and where."""
    test, name = found.test, _strategy(found)
    if test.measure == "end":
        where = f"final test {study.metric.words}, {at(test.budget)}"
    elif test.measure == "cost":
        where = MEASURES[f"{test.budget}_ratio"].words
    else:
        where = f"time to the target, in {CLOCKS[test.budget].words}"
    return f"`{name}` against `{test.control}`, {where}"


def _expected(study: Study, test: Expectation) -> str:
    """Return what a test expects, with its bound."""
    if test.by is None:
        return test.expects
    unit = study.metric.points if test.measure == "end" else "%"
    least = "more than" if test.expects.startswith("not ") else "at least"
    return f"{test.expects} by {least} {100 * test.by:g} {unit}"


def _effect_in_words(study: Study, found: Found) -> str:
    if math.isnan(found.effect):
        return "unknown"
    if found.test.measure == "end":
        return f"{points(found.effect)} {study.metric.points} {interval(found.low, found.high)}"
    return f"×{found.effect:.2f} {interval(found.low, found.high, '{:.2f}'.format)}"


def _finding(study: Study, found: Found) -> str:
    expected = f"{_what(study, found)}; claimed: {_expected(study, found.test)}"
    if found.saying == ABSENT:
        return f"{expected}. The study has no such comparison."
    why = f" ({found.reason})" if found.reason else ""
    link = f" [The cell]({found.link})." if found.link else ""
    sets = count(found.datasets, "data set")
    return f"{expected}. Found: {_effect_in_words(study, found)}, {sets}: {found.saying}{why}.{link}"


def _control(study: Study, found: Found) -> str:
    """Return whether a control may explain a gain, which it does where the strategy is not better than it."""
    fails = "the control is better" if found.high < 0 else "the control does as well"
    explains = {HOLDS: "it does not explain a gain", FAILS: fails}.get(found.saying, found.saying)
    effect = f"{_effect_in_words(study, found)}, {count(found.datasets, 'data set')}"
    return f"The cheapest control that may explain a gain: {_what(study, found)}: {effect}: {explains}."
