"""The figures that are files of their own: alternating against standard training, at each depth and freeze ratio."""

from pathlib import Path

from altfreeze.config import alternating_strategies
from altfreeze.files import atomic_output
from altfreeze.plots import BUDGETS, figure_svg, main_figure
from altfreeze.tables import read_table


def write_figures(study, tables, folder):
    """Write ``depthN-STRATEGY.svg`` for each depth and alternating strategy: a row per data set, and their mean.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.
    tables : path
        Folder of the tables.
    folder : path
        Where to write.

    Raises
    ------
    InputError
        If a table lacks a comparison.
    """
    runs, comparisons = (read_table(Path(tables, f"{name}.csv"), name) for name in ("runs", "comparisons"))
    budget = study["primary_budget"]
    for depth in study["depths"]:
        for strategy in alternating_strategies(study):
            figure = main_figure(runs, comparisons, depth, strategy, "standard", budget)
            title = (
                f"Paired differences in final test accuracy of {strategy} from standard training at depth {depth}, "
                f"by data set, {BUDGETS[budget]}."
            )
            with atomic_output(Path(folder, f"depth{depth}-{strategy}.svg")) as file:
                file.write(figure_svg(figure, title))
