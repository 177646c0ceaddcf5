"""What the pages on schedules and methods say: docstrings as HTML, and plans in numbers and words."""

import html
import inspect
import itertools
import re
from typing import NamedTuple

import numpy as np
from docutils.core import publish_parts

from altfreeze import comparisons, cost, data, models, plans, randomness, reference, training
from altfreeze.statistics import across, diagnostics, paired, reach

# what the study does, in the order of the page; every docstring's module is in provenance.DOCUMENTED_MODULES
PROCEDURES = {
    "Data and random draws": (
        data.stratified_split,
        data.standardise,
        data.batch_order,
        randomness.stream_seed,
    ),
    "Training": (
        models.StackedMLP,
        models.initial_parameters,
        training.train_pack,
        training.learning_rate,
        training.PhaseSwitch,
    ),
    "Budgets and costs": (cost.step_flops, cost.fill_flops, plans.horizon, reference.reference_seconds),
    "Pairs": (comparisons.comparisons_of, comparisons.rows_at_common_end),
}
# how long a strategy trains, by its budget
LENGTHS = {
    "epochs": "for the epochs of the configuration",
    "half_updates": "for half of the steps",
    "matched_flops": "until the operations of alternating are spent",
}
# more groups of layers than these are told as a range
_MOST_GROUPS = 8


def statistical_functions():
    """Return the public functions of `altfreeze.statistics`.

    Returns
    -------
    dict of str to list of callable
        First sentence of each module's docstring to its functions, as they stand there.
    """
    found = {}
    for module in (paired, across, reach, diagnostics):
        public = [value for name, value in vars(module).items() if name[0] != "_"]
        # some remember what they returned
        functions = [each for each in public if inspect.isfunction(inspect.unwrap(each))]
        found[re.split(r"[;.]", module.__doc__)[0]] = [each for each in functions if each.__module__ == module.__name__]
    return found


def sections(documented):
    """Return the sections of a numpydoc docstring.

    Parameters
    ----------
    documented : callable or type

    Returns
    -------
    dict of str to str
        Title to text; what stands before the first title is under ''.
    """
    head, *rest = re.split(r"^(\S.*)\n-{3,}\n", inspect.getdoc(documented), flags=re.MULTILINE)
    return {"": head.strip()} | {title: text.strip("\n") for title, text in zip(rest[::2], rest[1::2], strict=True)}


def first_sentence(documented):
    """Return the first line of a docstring, which says what the documented does."""
    return inspect.getdoc(documented).partition("\n")[0]


def as_html(text):
    """Return the text of a section of a docstring as HTML.

    Parameters
    ----------
    text : str
        reStructuredText; what stands in single backquotes is code.

    Returns
    -------
    str

    Raises
    ------
    docutils.utils.SystemMessage
        If it cannot be read without a doubt.
    """
    settings = {
        "_disable_config": True,
        "doctitle_xform": False,
        "file_insertion_enabled": False,
        "halt_level": 2,
        "raw_enabled": False,
        "report_level": 5,
    }
    source = f".. default-role:: literal\n\n{text}"
    return publish_parts(source, writer="html5", settings_overrides=settings)["body"]


def listed_as_html(text, leave_out=()):
    """Return a list of parameters or of what is returned as HTML.

    Parameters
    ----------
    text : str
        A section in numpydoc's form: lines ``name : type`` with indented descriptions or none.
    leave_out : collection of str
        Names that are not listed.

    Returns
    -------
    str
        A description list, or nothing.
    """
    items = []
    for entry in re.split(r"\n(?=\S)", text):
        term, _, description = entry.partition("\n")
        names, _, kind = term.replace("`", "").partition(" : ")
        names = ", ".join(name for name in names.split(", ") if name not in leave_out)
        if not names:
            continue
        classifier = f'<span class="classifier">{html.escape(kind)}</span>' if kind else ""
        body = as_html(inspect.cleandoc(description))
        items.append(f"<dt>{html.escape(names)}{classifier}</dt><dd>{body}</dd>")
    return f"<dl>{''.join(items)}</dl>" if items else ""


def documented_as_html(documented):
    """Return a function or class as HTML: its name, what it says of itself, and folded what goes in and comes out.

    Parameters
    ----------
    documented : callable or type

    Returns
    -------
    str
    """
    found = sections(documented)
    parts = [f"<h3>{documented.__name__}</h3>", as_html(found[""])]
    parts += [as_html(found[title]) for title in ("Notes", "References") if title in found]
    lists = [title for title in ("Parameters", "Attributes", "Returns") if title in found]
    if lists:
        # where nothing else says more than what it is, they do
        fold = "<details>" if len(parts) > 2 or "\n\n" in found[""] else "<details open>"
        listed = "".join(f"<h4>{title}</h4>{listed_as_html(found[title])}" for title in lists)
        parts.append(f"{fold}<summary>{', '.join(lists).capitalize()}</summary>{listed}</details>")
    return "\n".join(parts)


class Totals(NamedTuple):
    """What a training makes: steps, updates of each layer and their mean over parameters, operations."""

    steps: int
    updates: tuple
    updates_mean: float
    flops: int


def totals(epochs, workload):
    """Return the totals of a plan.

    Parameters
    ----------
    epochs : list of altfreeze.plans.Epoch
    workload : altfreeze.plans.Workload

    Returns
    -------
    Totals
    """
    updates = tuple(map(sum, zip(*(epoch.updates() for epoch in epochs), strict=True)))
    parameters = [(fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(workload.sizes)]
    return Totals(
        sum(len(epoch.steps) for epoch in epochs),
        updates,
        float(np.average(updates, weights=parameters)),
        sum(epoch.flops(workload) for epoch in epochs),
    )


def in_words(epochs):
    """Return which layers of a plan learn in how many steps, and in which epochs.

    Parameters
    ----------
    epochs : list of altfreeze.plans.Epoch

    Returns
    -------
    str
        For example ``of 150 steps, layers 1-3 learn in 75 (in 25 of the epochs 2 to 50)``.
    """
    by_epoch = np.array([epoch.updates() for epoch in epochs])
    steps = sum(len(epoch.steps) for epoch in epochs)
    groups = {}
    for layer, counts in enumerate(by_epoch.T):
        groups.setdefault((*np.flatnonzero(counts) + 1, int(counts.sum())), []).append(layer)
    start = f"of {steps:,} steps, "
    if len(groups) > _MOST_GROUPS:
        totals_of_layers = by_epoch.sum(axis=0)
        return f"{start}each layer learns in {totals_of_layers.min():,} to {totals_of_layers.max():,}"
    parts = []
    for (*learned, updates), layers in groups.items():
        of_group = [layer in layers for layer in range(by_epoch.shape[1])]
        who = f"layer{'s' * (len(layers) > 1)} {training.layer_ranges(of_group).replace(' ', ', ')}"
        verb = "learn" if len(layers) > 1 else "learns"
        parts.append(f"{who} {verb} in {updates:,} ({_epochs(learned)})" if learned else f"{who} never {verb}")
    return start + "; ".join(parts)


def _epochs(numbers):
    first, last = int(numbers[0]), int(numbers[-1])
    if first == last:
        return f"in epoch {first}"
    whole = len(numbers) == last - first + 1
    return f"in {'' if whole else f'{len(numbers)} of '}{'the ' * (not whole)}epochs {first} to {last}"
