"""What the page on budgets says of comparisons: with the controls, at equal budgets, and under other recipes."""

import math
from typing import Any

import pandas as pd

from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.report.blocks.cells import (
    at,
    described,
    heading,
    shorter_trainings,
    tally,
    verdict_or_none,
    whole_trainings,
)
from altfreeze.report.selection import compared_rows, overall
from altfreeze.report.words import count, interval, margin_in_words, percent, points
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import CLOCKS, EQUAL_BUDGETS, NOT_ABOVE_CHANCE

# what each control of alternating training asks, by the name of its strategy
QUESTIONS = {
    "standard_half_updates": "half of the steps, about as many updates of a layer. Does freezing do anything else?",
    "standard_matched_flops": "as many operations. Are they better spent on fewer steps of all layers?",
    "random_half": "as many updates, of random halves of the layers. Do contiguous groups matter?",
    "frozen_bottom": "the bottom group keeps its initial weights. Does it have to learn at all?",
    "frozen_top": "the top group keeps its initial weights. Does it have to learn at all?",
}
# controls of the same budget whose learning rate has decayed at their end
_FAIR_CONTROLS = ("standard_half_updates", "standard_matched_flops")
_READ_EARLY = {
    "†": "standard training was read before its own end, after {} of its epochs, which counts against it",
    "‡": "the strategy was read before its own end, after {} of its epochs, which counts against it",
}


def controls(study: Study, comparisons: pd.DataFrame) -> dict[str, list[str]]:
    """Return the labels with which the primary strategy is compared, by the name of each control in `QUESTIONS`."""
    references = list(comparisons.loc[comparisons["strategy"] == study.primary_strategy, "reference"].unique())
    return {name: [label for label in references if study.strategies[label]["name"] == name] for name in QUESTIONS}


def _own_end(study: Study, comparisons: pd.DataFrame, reference: str, metric: str = "") -> Any:
    return overall(
        comparisons, metric or study.metric.final, study.primary_depth, study.primary_strategy, "own", reference
    )


def beyond_fewer_updates(study: Study, comparisons: pd.DataFrame) -> str:
    """Return whether alternating training ends where standard training of half as many steps does."""
    depth, primary = study.primary_depth, study.primary_strategy
    margin = f"±{margin_in_words(study.equivalence_margin, study.metric, short=True)}"
    openings = {
        "better": "Yes, it ends better than its updates explain.",
        "worse": "Yes, but it ends worse than its updates explain.",
        "equivalent": f"No: within {margin}, it ends where half as many steps of standard training end.",
        "undecided": "Undecided.",
        NOT_ABOVE_CHANCE: "No verdict: standard training is not above chance.",
    }
    halves = controls(study, comparisons)["standard_half_updates"]
    sentences = []
    if split_index(study.primary_freeze_ratio, depth) in (0, depth):
        sentences.append(f"At depth {depth}, {primary} never freezes a layer: it is standard training.")
    for label in halves:
        row = _own_end(study, comparisons, label)
        without = f", {count(row.dropped, 'pair')} left out" if row.dropped else ""
        difference = f"{points(row.difference)} {study.metric.points}, {interval(row.low, row.high)}"
        sentences.append(
            f"**{openings[row.verdict]}** Final test {study.metric.words} at depth {depth}, `{primary}` after "
            f"{count(study.epochs_alternating, 'epoch')} minus `{label}`: "
            f"{'there is no pair' if math.isnan(row.difference) else difference} "
            f"({count(row.pairs, 'pair')}{without}; {row.verdict} at a margin of {margin})."
        )
        others = compared_rows(comparisons, study.metric.final, "own", label)
        others = others[(others["dataset"] == "all") & ((others["depth"] != depth) | (others["strategy"] != primary))]
        if len(others):
            sentences.append(f"At other depths and freeze ratios: {tally(map(verdict_or_none, others.itertuples()))}.")
    if not halves:
        sentences.append(
            "The control of this hypothesis, standard_half_updates, was not trained: the study cannot tell."
        )
    return " ".join(sentences)


def which_is_primary(study: Study) -> str:
    """Return which comparison the configuration named as the primary one."""
    strategy, reference, budget = study.primary
    return (
        f"The study's primary comparison is `{strategy}` minus `{reference}`, {at(budget)}, at depth "
        f"{study.primary_depth}; all others on this page are secondary, and their intervals are not adjusted for their "
        "number."
    )


def questions(study: Study, comparisons: pd.DataFrame) -> str:
    """Return a list of what each control asks, and of those that were not trained."""
    lines = []
    for name, labels in controls(study, comparisons).items():
        lines += [f"- `{label}`: {QUESTIONS[name]}" for label in labels] or [
            f"- `{name}`, not trained: {QUESTIONS[name]}"
        ]
    return "\n".join(lines)


def against_controls(study: Study, comparisons: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return what alternating training gained against standard training and each control, and the share it spent."""
    primary = study.primary_strategy
    spent = runs[(runs["depth"] == study.primary_depth) & (runs["recipe"] == PRIMARY_RECIPE)]
    updates = spent.groupby(["strategy", "dataset"])["updates_mean"].mean()
    rows = []
    for label in ["standard", *(label for labels in controls(study, comparisons).values() for label in labels)]:
        row = _own_end(study, comparisons, label)
        ratios = [
            _own_end(study, comparisons, label, metric).strategy_mean for metric in ("flops_ratio", "seconds_ratio")
        ]
        shares = [(updates[primary] / updates[label]).mean(), *ratios]
        rows.append([label, described(row), *map(percent, shares), row.pairs, row.dropped])
    clocks = [heading(CLOCKS[name].words) for name in ("updates", "flops", "seconds")]
    columns = [f"{primary} against", f"Difference ({study.metric.points})", *clocks, "Pairs", "Left out"]
    return pd.DataFrame(rows, columns=columns)


def _decays(study: Study, label: str) -> bool:
    """Return whether the learning rate of a strategy decays towards its end."""
    return study.learning_rate_schedule != "constant" or STRATEGIES[study.strategies[label]["name"]].anneals


def _marks(study: Study, label: str, row: Any) -> dict[str, float]:
    """Return a mark for each side that was read before its learning rate had decayed, and at which share of it."""
    sides = (("†", "standard", row.read_reference), ("‡", label, row.read_strategy))
    return {mark: share for mark, side, share in sides if _decays(study, side) and share < 1 - 1e-6}


def _against_standard(study: Study, comparisons: pd.DataFrame) -> dict[tuple[str, str], Any]:
    """Return the comparison over all data sets of each strategy with standard training, by label and budget."""
    return {
        (label, budget): overall(comparisons, study.metric.final, study.primary_depth, label, budget)
        for label in whole_trainings(study)
        for budget in EQUAL_BUDGETS
    }


def of_whole_trainings(study: Study, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons of strategies that do not only end earlier."""
    return comparisons[comparisons["strategy"].isin(whole_trainings(study))]


def at_equal_budgets(study: Study, comparisons: pd.DataFrame) -> str:
    """Return the verdicts on the primary strategy, and how many there are of all, at each equal budget."""
    rows, labels = _against_standard(study, comparisons), whole_trainings(study)
    primary = study.primary_strategy
    of_primary = [f"{verdict_or_none(rows[primary, budget])} {at(budget)}" for budget in EQUAL_BUDGETS]
    sentences = [f"`{primary}`: {'; '.join(of_primary)}."]
    if len(labels) > 1:
        of_all = [
            f"{tally(verdict_or_none(rows[label, budget]) for label in labels)} {at(budget)}"
            for budget in EQUAL_BUDGETS
        ]
        sentences.append(f"All {len(labels)} strategies: {'; '.join(of_all)}.")
    shorter = shorter_trainings(study)
    if shorter:
        but = ", but for its learning rate" if _decays(study, "standard") else ""
        sentences.append(
            f"Not shown: {', '.join(f'`{label}`' for label in shorter)}; a control that only ends earlier is standard "
            f"training up to any common budget{but}."
        )
    return " ".join(sentences)


def at_equal_budgets_table(study: Study, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy minus standard training at each equal budget, with marks where a run was read early."""
    found = _against_standard(study, comparisons)
    rows = []
    for label in whole_trainings(study):
        of_label = [found[label, budget] for budget in EQUAL_BUDGETS]
        rows.append([label, *(described(row, "".join(_marks(study, label, row))) for row in of_label)])
    return pd.DataFrame(rows, columns=["Strategy minus standard", *(heading(at(budget)) for budget in EQUAL_BUDGETS)])


def read_early(study: Study, comparisons: pd.DataFrame) -> str:
    """Return what the marks of the table mean, and which controls are fair; empty where nothing was read early."""
    early: dict[str, list[float]] = {mark: [] for mark in _READ_EARLY}
    for (label, _), row in _against_standard(study, comparisons).items():
        for mark, share in _marks(study, label, row).items():
            early[mark].append(share)
    notes = []
    for mark, shares in early.items():
        if shares:
            span = dict.fromkeys([percent(min(shares)), percent(max(shares))])
            notes.append(f"{mark} {_READ_EARLY[mark].format(' to '.join(span))}")
    if not notes:
        return ""
    trained = controls(study, comparisons)
    fair = [f"`{label}`" for name in _FAIR_CONTROLS for label in trained[name]]
    there = f" Fair at equal updates or operations are the controls {' and '.join(fair)}." if fair else ""
    return (
        "A learning rate that decays reaches its low end only at the end of a run, so a run that is read before "
        f"has not had what a run that ends there has: {'; '.join(notes)}.{there}"
    )


def tuned_rates(study: Study, tuning: pd.DataFrame) -> str:
    """Return which learning rates were tried, and how many choices lie at an edge of them."""
    if tuning.empty:
        return (
            f"No tuning: every strategy trains at the learning rate of its recipe ({study.learning_rate:g} under the "
            "primary one), chosen for none of them."
        )
    sentence = f"Tried: {', '.join(f'{rate:g}' for rate in sorted(study.learning_rates_to_try))}."
    picked = _picked_rates(study, tuning)
    at_edge = (picked["edge"] == "yes").sum()
    if at_edge:
        sentence += (
            f" {at_edge} of {count(len(picked), 'choice')} at depth {study.primary_depth} lie at an edge of "
            "these (marked *): a rate beyond it may be better still."
        )
    return sentence


def _picked_rates(study: Study, tuning: pd.DataFrame) -> pd.DataFrame:
    """Return the chosen learning rates at the primary depth."""
    return tuning[(tuning["chosen"] == 1) & (tuning["depth"] == study.primary_depth)]


def tuned_rates_table(study: Study, tuning: pd.DataFrame) -> pd.DataFrame:
    """Return the learning rate that each strategy chose on each data set, under each recipe that is tuned."""
    picked = _picked_rates(study, tuning)
    if picked.empty:
        return pd.DataFrame()
    texts = picked["learning_rate"].map("{:g}".format) + picked["edge"].map({"yes": " *", "no": ""})
    table = picked.assign(text=texts).pivot(index=["recipe", "dataset"], columns="strategy", values="text")
    rows = [(recipe, name) for recipe in study.recipes if study.is_tuned(recipe) for name in study.datasets]
    labels = [label for label in study.strategies if label in table]
    table = table.reindex(index=pd.MultiIndex.from_tuples(rows, names=["Recipe", "Data set"]), columns=labels)
    # under a variation only some strategies are trained
    return table.fillna("").reset_index()


def _under_each_recipe(study: Study, comparisons: pd.DataFrame) -> dict[str, Any]:
    """Return the primary comparison by recipe; none where nothing varies, or where seconds are not measured."""
    strategy, reference, budget = study.primary
    if not study.variations or budget == "seconds":
        return {}
    where = {"metric": study.metric.final, "depth": study.primary_depth, "budget": budget, "reference": reference}
    return {recipe: overall(comparisons, strategy=strategy, recipe=recipe, **where) for recipe in study.recipes}


def recipe_verdicts(study: Study, comparisons: pd.DataFrame) -> str:
    """Return under how many variations the verdict of the primary comparison is another; empty where nothing varies."""
    rows = _under_each_recipe(study, comparisons)
    if not rows:
        return ""
    first, *others = map(verdict_or_none, rows.values())
    return (
        "The primary comparison under each recipe: its verdict is another one under "
        f"{sum(other != first for other in others)} of {count(len(others), 'variation')}."
    )


def recipe_verdicts_table(study: Study, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the primary comparison under each recipe."""
    rows = [[recipe, described(row)] for recipe, row in _under_each_recipe(study, comparisons).items()]
    strategy, reference, _ = study.primary
    return pd.DataFrame(rows, columns=["Recipe", f"{strategy} minus {reference}"])
