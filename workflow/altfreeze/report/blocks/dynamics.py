"""What the page on training dynamics shows of each data set.

All but `contents` and `show_dynamics` take the rows of a data set in the tables epochs or gradient_flow, under the
primary recipe.
"""

import html
from pathlib import Path

import numpy as np
import pandas as pd

from altfreeze.freezing.schedules import split_index
from altfreeze.report.blocks.budgets import QUESTIONS
from altfreeze.report.blocks.display import say, show_table
from altfreeze.report.figures.curves import SEED_LINES, SMALLEST_LOSS, learning_curves
from altfreeze.report.figures.flow import gradient_flow_figure
from altfreeze.report.figures.style import show
from altfreeze.report.words import count
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.tables.seals import check_seal

# lines of seeds are most of a figure's text: a page of more data sets leaves them out
_MOST_WITH_SEEDS = 12


def read_dynamics(folder: Path | str, study: Study, dataset: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the epochs of a data set at all depths, and its gradient flow at the primary depth.

    Parameters
    ----------
    folder : path
        The tables of a finished study.
    study : altfreeze.study.grid.Study
    dataset : str

    Returns
    -------
    epochs, flow : pandas.DataFrame
        Without rows of `flow` where gradient flow was not observed.
    """
    wanted = [("dataset", "==", dataset), ("recipe", "==", PRIMARY_RECIPE)]
    for name in ("epochs", "gradient_flow"):
        check_seal(Path(folder) / f"{name}.parquet")
    epochs = pd.read_parquet(Path(folder) / "epochs.parquet", filters=wanted)
    at_depth = [*wanted, ("depth", "==", study.primary_depth)]
    return epochs, pd.read_parquet(Path(folder) / "gradient_flow.parquet", filters=at_depth)


def contents(study: Study) -> str:
    """Return links to the data sets of the page."""
    return " · ".join(f"[{html.escape(dataset)}](#{dataset})" for dataset in study.datasets)


def show_dynamics(study: Study, folder: Path | str, dataset: str) -> None:
    """Show a data set's learning curves at the primary depth, and what they say at all depths.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    folder : path
        The tables of a finished study.
    dataset : str
    """
    epochs, flow = read_dynamics(folder, study, dataset)
    depth = study.primary_depth
    say(f'<h2 id="{dataset}">{html.escape(dataset)}</h2>')
    say(how_runs_ended(epochs))
    seed_lines = SEED_LINES if len(study.datasets) <= _MOST_WITH_SEEDS else 0
    for what, strategies in drawn_together(study, epochs).items():
        show(
            learning_curves(epochs, dataset, depth, strategies=strategies, seed_lines=seed_lines),
            f"Training loss and validation accuracy on {dataset} at depth {depth}, by epochs and by operations: "
            f"standard training against {what}",
        )
    show_table(losses_table(epochs), folded="Training loss early and at the end")
    say(for_its_operations(study, epochs))
    show_table(for_its_operations_table(study, epochs))
    show_table(ends_table(epochs), folded="Where training ended")
    if len(flow):
        show(
            gradient_flow_figure(flow, dataset, depth, ["standard", study.primary_strategy]),
            f"Gradient flow on {dataset} by layer and epoch at depth {depth}: standard and {study.primary_strategy}",
        )
        say(seen_at_thaws(study, flow))


def _last_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each run's last epoch; how many epochs a strategy gets can depend on the depth."""
    return epochs[epochs["epoch"] == _ends(epochs)]


def _ends(epochs: pd.DataFrame) -> pd.Series:
    return epochs.groupby(["depth", "strategy"])["epoch"].transform("max")


def drawn_together(study: Study, epochs: pd.DataFrame) -> dict[str, list[str]]:
    """Return which strategies share a figure: standard training against each freeze ratio, and against the controls."""
    ratio = study.strategies[study.primary_strategy]["freeze_ratio"]
    present = list(epochs["strategy"].unique())
    controls = [
        label
        for label in present
        # controls of other ratios are those of other strategies
        if study.strategies[label]["name"] in QUESTIONS and study.strategies[label].get("freeze_ratio", ratio) == ratio
    ]
    groups = {"freeze ratios": ["standard", *(label for label in present if label in study.alternating)]}
    return groups | ({"controls": ["standard", study.primary_strategy, *controls]} if controls else {})


def how_runs_ended(epochs: pd.DataFrame) -> str:
    """Return how many runs there are, and how many of them diverged."""
    last = _last_epochs(epochs)
    diverged = (last["status"] != "ok").sum()
    flatters = " and are missing from the means from that epoch on, which flatters those strategies" if diverged else ""
    return f"{count(len(last), 'run')}; {diverged} of them diverged{flatters}."


def losses_table(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the training loss of each strategy at a tenth of its training and at the end, geometric means."""

    def mean_loss(rows: pd.DataFrame) -> pd.Series:
        logarithms = np.log(rows.set_index(["depth", "strategy"])["train_loss"].clip(lower=SMALLEST_LOSS))
        return np.exp(logarithms.groupby(level=[0, 1], sort=False).mean()).map("{:.3g}".format)

    # the first epoch at which a tenth of the strategy's training is made
    late = epochs[epochs["epoch"] >= _ends(epochs) / 10]
    table = pd.DataFrame(
        {
            "Training loss during the epoch at a tenth of training (geometric mean)": mean_loss(
                late.groupby(["depth", "strategy", "seed"], sort=False).head(1)
            ),
            "during the last epoch": mean_loss(_last_epochs(epochs)),
        }
    )
    return table.rename_axis(["Depth", "Strategy"]).reset_index()


def _cut_at_equal_operations(study: Study, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return mean validation accuracies of alternating training, and of standard training of as many operations."""
    rows = []
    columns = ["depth", "strategy", "standard_epochs", "standard_then", "own_end"]
    for depth, of_depth in epochs[epochs["strategy"].isin(["standard", *study.alternating])].groupby("depth"):
        means = of_depth.groupby(["strategy", "epoch"], sort=False)[["flops", "validation_accuracy"]].mean()
        standard = means.loc["standard"]
        for label in means.index.unique("strategy").drop("standard"):
            end = means.loc[label].iloc[-1]
            affordable = standard[standard["flops"] <= end["flops"]]
            if len(affordable):
                accuracies = affordable["validation_accuracy"].iloc[-1], end["validation_accuracy"]
                rows.append([depth, label, affordable.index[-1], *accuracies])
    return pd.DataFrame(rows, columns=columns)


def _rate_varies(study: Study, epochs: pd.DataFrame) -> bool:
    return epochs.loc[epochs["strategy"].isin(["standard", *study.alternating]), "learning_rate"].nunique() > 1


def for_its_operations(study: Study, epochs: pd.DataFrame) -> str:
    """Return in how many cases alternating training ended above standard training of as many operations."""
    if _rate_varies(study, epochs):
        return (
            "The learning rate decays over each strategy's own epochs, so standard training that is cut at equal "
            "operations has not decayed yet: no table compares the two here."
        )
    table = _cut_at_equal_operations(study, epochs)
    ahead = (table["own_end"] > table["standard_then"]).sum()
    return (
        "With at most the operations that an alternating strategy spent in all, in whole epochs, standard "
        "training had reached the mean validation accuracy below; the alternating strategy ended above it in "
        f"{ahead} of {count(len(table), 'case')}."
    )


def for_its_operations_table(study: Study, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return standard training's accuracy for the operations of each alternating strategy; none if its rate decays."""
    table = _cut_at_equal_operations(study, epochs)
    formats = {"standard_epochs": "{:g}", "standard_then": "{:.2%}", "own_end": "{:.2%}"}
    table = table.assign(**{column: table[column].map(form.format) for column, form in formats.items()})
    table.columns = [
        "Depth",
        "Strategy",
        "Epochs of standard training for its operations",
        "Standard then",
        "Its own end",
    ]
    return table.iloc[:0] if _rate_varies(study, epochs) else table


def ends_table(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return loss and accuracies after the last epoch, means over the runs that did not diverge."""
    last = _last_epochs(epochs)
    ended = last[last["status"] == "ok"].groupby(["depth", "strategy"], sort=False)
    table = pd.DataFrame(
        {
            "Validation loss": ended["validation_loss"].mean().map("{:.3g}".format),
            "Validation accuracy": ended["validation_accuracy"].mean().map("{:.2%}".format),
            "Test accuracy": ended["test_accuracy"].mean().map("{:.2%}".format),
            "Runs": ended.size(),
        }
    )
    return table.rename_axis(["Depth", "Strategy"]).reset_index()


def seen_at_thaws(study: Study, flow: pd.DataFrame) -> str:
    """Return two sentences on the bottom layers when they thaw, and on the same layers in standard training."""
    if flow.empty:
        return "Not observed in this study; `gradient_flow: true` in its configuration would show it here."
    primary = study.primary_strategy
    bottom = split_index(study.primary_freeze_ratio, study.primary_depth)
    rows = flow[flow["layer"] <= bottom].sort_values("epoch")
    learned = rows[(rows["strategy"] == primary) & rows["change_norm"].notna()]
    learned = learned.assign(learned_last=learned.groupby(["seed", "layer"])["epoch"].shift())
    thaws = learned.dropna(subset=["steps_since_update", "learned_last"])
    if thaws.empty:
        return f"Under *{primary}* no bottom layer thawed that had learned in an earlier epoch."
    grown = {label: _growth(rows[rows["strategy"] == label], thaws) for label in (primary, "standard")}
    cosine = rows.loc[rows["strategy"] == "standard", "change_cosine"].mean()
    layers = "layer 1" if bottom == 1 else f"layers 1 to {bottom}"
    return (
        f"At the end of the epoch in which the bottom ({layers}) thaws under *{primary}*, the gradient norm "
        f"of a layer is {grown[primary]:.2f} times what it was at the end of the epoch in which it "
        f"learned last (geometric mean of {count(len(thaws), 'thaw')}, each layer and seed counted); between the same "
        f"epochs of standard training it becomes {grown['standard']:.2f} times as large. The cosine between a layer's "
        f"changes before and after it was frozen is {thaws['change_cosine'].mean():.2f} on average; between its "
        f"changes in consecutive epochs of standard training it is {cosine:.2f}."
    ).replace(" -", " −")


def _growth(rows: pd.DataFrame, thaws: pd.DataFrame) -> float:
    """Return by which factor gradient norms grew from the epoch before a freeze to that of the thaw, geometric mean."""
    norms = rows.set_index(["seed", "layer", "epoch"])["gradient_norm"]
    before, after = (
        norms.reindex(pd.MultiIndex.from_frame(thaws[["seed", "layer", epoch]])).to_numpy()
        for epoch in ("learned_last", "epoch")
    )
    usable = (before > 0) & (after > 0) & np.isfinite(before * after)
    return float(np.exp(np.log(after[usable] / before[usable]).mean())) if usable.any() else np.nan
