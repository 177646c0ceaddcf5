"""What tests build: studies, cells, data, finished tables and pages; no test module imports another."""

import fcntl
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import axe_core_python
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from altfreeze.comparison.compare import compare
from altfreeze.data.dataset import Dataset
from altfreeze.data.frames import LARGEST_NUMBER
from altfreeze.data.sources import load_dataset
from altfreeze.data.split import batch_order, split_of_seed, standardise
from altfreeze.freezing.plan import Workload, plan_work
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.statistics import verdict as verdict_of
from altfreeze.study.cell import Cell
from altfreeze.study.grid import FIRST_CALIBRATION_SEED, Pack, Study, tuning_file
from altfreeze.study.reading import study_of
from altfreeze.support.files import atomic_output, sha256_of_file, write_json
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.collect import collect
from altfreeze.tables.schema import CELL, KEY, columns, conform, read_table, write_table
from altfreeze.training.log import csv_text, log_text
from altfreeze.vocabulary import CLOCKS, EQUAL_BUDGETS
from hypothesis import strategies as st
from pyarrow import parquet

ROOT = Path(__file__).parents[1]


# ---- programs that a test needs


def wait_until(condition: Callable[[], Any], what: str = "what is waited for", seconds: float = 30) -> Any:
    """Return what `condition` returns as soon as it is true."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what} took longer than {seconds} seconds")
        time.sleep(0.05)
    return value


def need(programs: list[str], script: str, path: str | None = None) -> list[str]:
    """Find programs, installed by a script of this folder where that is possible.

    Where they cannot be had the test is skipped, but in CI it fails.

    Parameters
    ----------
    programs : list of str
    script : str
    path : str, optional
        Folders to look in, as in PATH.

    Returns
    -------
    list of str
        Where they are.
    """

    def find():
        return [shutil.which(program, path=path) for program in programs]

    if not all(find()) and os.geteuid() == 0 and shutil.which("apt-get"):
        # tests that run side by side install one after the other
        with open(Path(tempfile.gettempdir(), "altfreeze-tests-install.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(find()):
                subprocess.run([Path(__file__).with_name(script)], check=False, timeout=900)
    if not all(find()):
        absent = [program for program, place in zip(programs, find(), strict=True) if not place]
        reason = f"{', '.join(absent)} not found; tests/{script} installs what is needed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return find()


# ---- studies and cells


# of studies whose numbers tests know, whatever the defaults are
RECIPE = {"seeds": 10, "calibration_seeds": 10, "epochs_standard": 50, "epochs_alternating": 50, "batch_size": 32}
RECIPE |= {"learning_rate": 0.001, "learning_rate_schedule": "constant", "learning_rates_to_try": []}


# what an entry of the key strategies needs beside its name
NEEDED: dict[str, dict[str, Any]] = {
    "phases": {
        "phases": [
            {"layers": "last", "for": 0.3},
            {"layers": 1, "for": 0.4, "factor": 0.5},
            {"layers": "all", "for": 0.2},
        ]
    }
}
# of each strategy but standard training, labelled by its name
ENTRIES = {
    name: {"name": name, "label": name} | NEEDED[name] if name in NEEDED else name
    for name in STRATEGIES
    if name != "standard"
}


def make_study(**keys: Any) -> Study:
    """Return a study of one plain recipe with some keys changed."""
    return study_of(RECIPE | keys)


def make_wine_study(**keys: Any) -> Study:
    """Return a study of 4 epochs on wine with some keys changed."""
    small = {"datasets": ["wine"], "depths": [4], "primary_depth": 4, "freeze_ratios": [0, 0.5, 1]}
    small |= {"epochs_standard": 4, "epochs_alternating": 4, "width": 16, "learning_rate": 0.02, "weight_decay": 0.01}
    return make_study(**(small | {"sources": {"wine": {"kind": "wine"}}} | keys))


def make_cell(strategy: str = "alternating-0.5", study: Study | None = None, **keys: Any) -> Cell:
    """Return a cell of a small study on wine, or of another one.

    Parameters
    ----------
    strategy : str
        Label of the strategy.
    study : Study, optional
        Where the cell is from: its first data set and depth.
    **keys
        Keys of the configuration, or values of the cell.
    """
    of_cell = {name: keys.pop(name) for name in ("dataset", "depth", "epochs", "strategy") if name in keys}
    study = study or make_wine_study(**keys)
    return replace(study.cell(study.datasets[0], study.depths[0], strategy), **of_cell)


def train_plainly(
    X: np.ndarray, y: np.ndarray, cell: Cell, seed: int, workload: Workload, make: Callable[[], Any] | None = None
) -> Any:
    """Train one run in plain PyTorch by its plan, with a group of parameters per layer; return its network.

    That is an MLP, or what `make` returns, whose children are its layers.
    """
    # most tests need no torch
    import torch
    from torch import nn

    key = (cell.study_seed, cell.dataset, cell.depth, seed)
    split = split_of_seed(y, *cell.data_key(seed))
    x, targets = torch.from_numpy(standardise(X, split.train)), torch.from_numpy(y)
    x = x.view(len(x), *cell.shape) if cell.shape else x
    torch.manual_seed(stream_seed(*key, "initial weights"))
    if make:
        network = make()
        layers = list(network)
    else:
        layers = [nn.Linear(*shape) for shape in itertools.pairwise(workload.sizes)]
        network = nn.Sequential(*(module for layer in layers for module in (layer, nn.ReLU())))[:-1]
    groups = [{"params": list(layer.parameters())} for layer in layers]
    options = {"lr": cell.learning_rate, "weight_decay": cell.weight_decay, "fused": False, "foreach": False}
    if cell.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=cell.momentum, **options)
    else:
        optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cell.optimizer](groups, **options)
    learned = [True] * len(layers)
    for number, epoch in enumerate(cell.plan(workload)):
        order = split.train[batch_order(*cell.data_key(seed), number, workload.rows)]
        batches = iter(np.split(order, range(workload.batch_size, workload.rows, workload.batch_size)))
        for step, batch in zip(epoch.steps, batches, strict=False):
            for index, layer in enumerate(layers):
                if step.active[index] and not learned[index] and cell.state_on_thaw == "reset":
                    for parameter in layer.parameters():
                        optimizer.state.pop(parameter, None)
                optimizer.param_groups[index]["lr"] = cell.learning_rate * step.factors[index]
                layer.train(step.active[index] or cell.frozen_normalisation == "train")
            learned = step.active
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), targets[batch]).backward()
            for layer, learns in zip(layers, learned, strict=True):
                if not learns:
                    layer.zero_grad(set_to_none=True)
            optimizer.step()
    return network


def make_small_study(**keys: Any) -> Study:
    """Return a study of two data sets and one depth, whose finished tables the builders below make."""
    return make_study(**({"datasets": ["iris", "wine"], "depths": [6], "freeze_ratios": [0.5], "seeds": 3} | keys))


def make_default_study(**keys: Any) -> Study:
    """Return the grid of config/config.yaml on the bundled data sets, with some keys changed."""
    texts = [(ROOT / "config" / name).read_text(encoding="utf-8") for name in ("config.yaml", "studies/bundled.yaml")]
    config, bundled = map(yaml.safe_load, texts)
    config["sources"] |= bundled["sources"]
    config |= {name: bundled[name] for name in ("datasets", "primary_datasets")} | {"variations": []}
    return study_of(config | RECIPE | keys)


def make_unchecked_study(base: Study, **keys: Any) -> Study:
    """Return a study with keys changed that no configuration may have: names that are markup."""
    return Study(base.config | keys)


def write_study(folder: Path, study: Study) -> Path:
    """Write a study as jobs read it, to a file of its own; return the file."""
    path = Path(tempfile.mkstemp(".json", "study-", folder)[1])
    path.write_text(json.dumps(study.config), encoding="utf-8")
    return path


def cell_options(folder: Path, study: Study, strategy: str, data: Path) -> list[str]:
    """Return the options of a job's command that say what it trains: a strategy on a study's first data set, depth."""
    options = {"study": write_study(folder, study), "data": data, "dataset": study.datasets[0]}
    options |= {"depth": study.depths[0], "strategy": strategy, "recipe": "primary", "device": "cpu"}
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


# ---- data


def tree_rows(count: int = 12, **columns: Any) -> dict[str, Any]:
    """Return a sound table of two features and the two classes of ``species``, with columns replaced or added."""
    return {
        "width": [index / 8 for index in range(count)],
        "colour": ["red" if index % 3 else "blue" for index in range(count)],
        "species": ["oak" if index % 2 else "ash" for index in range(count)],
        **columns,
    }


def tree_csv(separator: str = ",", **columns: Any) -> bytes:
    """Return `tree_rows` as a CSV file."""
    return pd.DataFrame(tree_rows(**columns)).to_csv(index=False, sep=separator).encode()


def load_tree_csv(folder: Path, content: bytes, **source: Any) -> Dataset:
    """Return the data set of a CSV file with the target ``species``."""
    path = folder / "trees.csv"
    path.write_bytes(content)
    return load_dataset("trees", {"kind": "csv", "path": str(path), "target": "species", **source}, 0)


def load_tree_parquet(folder: Path, table: pd.DataFrame | pa.Table, **source: Any) -> Dataset:
    """Return the data set of a Parquet file with the target ``species``."""
    path = folder / "trees.parquet"
    parquet.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), path)
    return load_dataset("trees", {"kind": "parquet", "path": str(path), "target": "species", **source}, 0)


def assert_one_line(error: pytest.ExceptionInfo, *words: str) -> None:
    """Check that an error is one line that begins with the data set and holds some words."""
    message = str(error.value)
    assert message.isprintable(), message
    assert message.startswith("data set ")
    for word in words:
        assert word in message


@st.composite
def mixed_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a table of numbers, integers, texts and booleans, with missing values but in the integers."""
    kinds = {
        "number": st.floats(-LARGEST_NUMBER, LARGEST_NUMBER) | st.none(),
        "integer": st.integers(-(2**53), 2**53),
        "text": st.sampled_from(["a", "b", "c", "ü=\n"]) | st.none(),
        "flag": st.booleans() | st.none(),
    }
    height = draw(st.integers(1, 15))
    names = st.from_regex(r"[a-zé ,\"']{0,5}[a-z]", fullmatch=True)
    columns = draw(st.dictionaries(names, st.sampled_from(list(kinds)), min_size=1))

    def values(kind):
        column = st.lists(kinds[kind], min_size=height, max_size=height)
        return draw(column.filter(lambda values: any(value is not None for value in values)))

    return pd.DataFrame({name: values(kind) for name, kind in columns.items()})


# ---- logs, manifests and finished tables

# columns of comparisons that the report does not read
EFFECTS = (
    "median_difference",
    "correlation",
    "probability_of_improvement",
    "cliffs_delta",
    "hedges_g",
    "nadeau_bengio_low",
    "nadeau_bengio_high",
    "minimum_detectable_difference",
    "equivalence_p",
)


def make_comparisons(study, difference=-0.02, low=-0.03, high=-0.01, pairs=6, dropped=0, ratio=0.75, names=None):
    """Return a table of comparisons in which all data sets and budgets have the same difference."""
    rows = []
    primary = study.primary_strategy
    wanted = [
        (strategy, reference, budget, metric)
        for strategy in study.strategies
        if strategy != "standard"
        for reference, budget, metric in [
            *(("standard", budget, "final_test_accuracy") for budget in ("own", *EQUAL_BUDGETS)),
            ("standard", "own", "best_test_accuracy"),
            ("standard", "own", "flops_ratio"),
            ("standard", "own", "seconds_ratio"),
        ]
    ]
    controls = [name for name in study.strategies if name.startswith(("standard_", "random"))]
    wanted += [
        (primary, name, "own", metric)
        for name in controls
        for metric in ("final_test_accuracy", "flops_ratio", "seconds_ratio")
    ]
    wanted = [(study.primary_depth, *reading) for reading in wanted]
    # what would be the primary comparison at another depth, freeze ratio or budget
    for depth, label, budget in itertools.product(study.depths, study.alternating, EQUAL_BUDGETS):
        reading = (depth, *study.at_equal_budget(label, budget), "final_test_accuracy")
        wanted += [reading] if reading not in wanted else []
    for depth, strategy, reference, budget, metric in wanted:
        for name in (*(names or study.datasets), "all"):
            accuracy = not metric.endswith("ratio")
            verdict = verdict_of(low, high, study.equivalence_margin) if accuracy else "lower"
            rows.append(
                {
                    "dataset": name,
                    "depth": depth,
                    "recipe": "primary",
                    "strategy": strategy,
                    "freeze_ratio": study.strategies[strategy].get("freeze_ratio", np.nan),
                    "reference": reference,
                    "family": "primary"
                    if (depth, strategy, reference, budget) == (study.primary_depth, *study.primary) and accuracy
                    else "secondary",
                    "budget": budget,
                    "metric": metric,
                    "pairs": pairs if name == "all" else pairs // 2,
                    "dropped": dropped if name in ("all", "iris") and strategy == primary else 0,
                    "diverged_reference": dropped if name in ("all", "iris") and strategy == primary else 0,
                    "diverged_strategy": 0,
                    "missing_reference": 0,
                    "missing_strategy": 0,
                    "not_above_chance": 0,
                    "reference_mean": 0.9 if accuracy else 1.0,
                    "strategy_mean": 0.9 + difference if accuracy else ratio,
                    "difference": difference if accuracy else ratio - 1,
                    "low": low if accuracy else ratio - 1,
                    "high": high if accuracy else ratio - 1,
                    **dict.fromkeys(EFFECTS, 0.0),
                    "read_reference": 1.0,
                    "read_strategy": 1.0,
                    "verdict": verdict,
                }
            )
    return conform(pd.DataFrame(rows), "comparisons", "test")


def make_runs(study, names=None):
    """Return a table of runs that differ by their seed."""
    rows = []
    for name in names or study.datasets:
        for label, ratio in (("standard", np.nan), ("alternating-0.5", 0.5)):
            for seed in range(study.seeds):
                accuracy = 0.9 + 0.01 * (seed % 10) - (0.02 + 0.001 * (seed % 10)) * (label != "standard")
                rows.append(
                    {name: 1 for name in columns("runs")}
                    | {"dataset": name, "depth": 6, "strategy": label, "freeze_ratio": ratio, "seed": seed}
                    | {"status": "ok", "recipe": "primary", "device": "cpu", "final_test_accuracy": accuracy}
                )
    return conform(pd.DataFrame(rows), "runs", "test")


def make_across(study, **changes):
    """Return a table across_datasets with the primary comparison alone."""
    strategy, reference, budget = study.primary
    row = {name: 0.0 for name in columns("across_datasets")} | {
        "depth": study.primary_depth,
        "recipe": "primary",
        "strategy": strategy,
        "freeze_ratio": study.primary_freeze_ratio,
        "reference": reference,
        "family": "primary",
        "budget": budget,
        "metric": "final_test_accuracy",
        "datasets": 9,
        "nonzero": 9,
        "mean": -0.004,
        "low": -0.012,
        "high": 0.004,
        "wilcoxon_p": 0.82,
        "adjusted_p": 0.82,
        "smallest_wilcoxon_p": 2 / 2**9,
        "can_be_significant": 1,
        "verdict": "undecided",
    }
    return conform(pd.DataFrame([row | changes]), "across_datasets", "test")


def make_endpoints(study, names=None, end=(-0.02, -0.03, -0.01), time=(1.2, 1.1, 1.3), **changes):
    """Return a table endpoints in which all data sets have the same effects: estimate, low and high of each.

    Parameters
    ----------
    **changes
        Columns by endpoint, as ``end_verdict``, or of both.
    """
    _, reference, _ = study.at_equal_budget(study.primary_strategy, study.primary_budget)
    kinds = [("end", study.primary_budget, reference, end), ("time", "flops", "standard", time)]
    kinds += [("time", "seconds", "standard", [1.1 * ratio for ratio in time])]
    rows = []
    for endpoint, clock, against, (effect, low, high) in kinds:
        said = verdict_of(low, high, study.equivalence_margin)
        if endpoint == "time":
            said = (
                verdict_of(math.log(low), math.log(high), math.log1p(study.cost_margin)) if low == low else "undecided"
            )
            said = {"better": "higher", "worse": "lower"}.get(said, said)
        for name in (*(names or study.datasets), *study.panels):
            row = dict.fromkeys(columns("endpoints"), 0) | {"dataset": name, "depth": study.primary_depth}
            row |= {"recipe": "primary", "strategy": study.primary_strategy, "endpoint": endpoint, "clock": clock}
            row |= {"reference": against, "effect": effect, "low": low, "high": high, "verdict": said}
            row |= {"datasets": len(study.primary_datasets), "sensitive": 1, "across_verdict": "undecided"}
            row["pairs"] = study.seeds * len(study.panels.get(name, [name]))
            row |= {"sign_p": 0.5, "wilcoxon_p": 0.25, "adjusted_p": 0.5, "across_low": low, "across_high": high}
            row["family"] = "secondary" if clock == "seconds" else "primary"
            own = {name.removeprefix(f"{endpoint}_"): value for name, value in changes.items()}
            rows.append(row | {name: value for name, value in own.items() if name in row})
    return conform(pd.DataFrame(rows), "endpoints", "test")


def make_sensitivity(study, names=None, noticed=1):
    """Return a table sensitivity in which the end of the first data sets notices that half was lost."""
    rows = []
    for place, name in enumerate((*(names or study.datasets), *study.panels)):
        for endpoint, lost in itertools.product(("end", "time"), (0.5, 0.75)):
            row = {"dataset": name, "depth": study.primary_depth, "recipe": "primary", "endpoint": endpoint}
            row |= {"lost": lost, "read": "own run", "pairs": 5, "effect": -0.02, "low": -0.03, "high": -0.01}
            rows.append(row | {"sensitive": "yes" if place < noticed else "no"})
    return conform(pd.DataFrame(rows), "sensitivity", "test")


def make_targets(study, names=None):
    """Return a table of targets on the primary level, all above chance."""
    row = {"depth": study.primary_depth, "recipe": "primary", "level": study.primary_level, "seeds": 5, "chance": 0.4}
    row |= {"calibration_median": 0.9, "above_chance": "yes", "target": 0.85}
    return conform(pd.DataFrame([{"dataset": name, **row} for name in names or study.datasets]), "targets", "test")


def make_pairs(study, comparisons):
    """Return a table of pairs whose differences grow with the seed around those of `comparisons`."""
    rows = comparisons[comparisons["dataset"] != "all"].merge(pd.DataFrame({"seed": range(study.seeds)}), how="cross")
    difference = rows["difference"] + 0.001 * (rows["seed"] - (study.seeds - 1) / 2)
    values = {"reference_value": 0.9, "strategy_value": 0.9 + difference, "difference": difference}
    return conform(rows[[*columns("pairs").keys() - values.keys()]].assign(**values), "pairs", "test")


def make_cells(study, comparisons):
    """Return {dataset, depth, strategy, recipe} of every strategy that stands in `comparisons`, as a table."""
    places = comparisons.loc[comparisons["dataset"] != "all", ["dataset", "depth", "recipe"]].drop_duplicates()
    return places.merge(pd.DataFrame({"strategy": list(study.strategies)}), how="cross")


def make_epochs(study, comparisons, epochs=4):
    """Return a table of epochs of every cell, whose accuracies rise."""
    rows = make_cells(study, comparisons).merge(pd.DataFrame({"seed": range(study.seeds)}), how="cross")
    rows = rows.merge(pd.DataFrame({"epoch": range(1, epochs + 1)}), how="cross")
    accuracy = 0.5 + 0.1 * rows["epoch"] / epochs + 0.01 * rows["seed"]
    clocks = {"flops": 1000 * rows["epoch"], "updates_mean": rows["epoch"], "reference_seconds": 0.01 * rows["epoch"]}
    logged = {
        "status": "ok",
        "active": "1-6",
        "updates": "1",
        "validation_accuracy": accuracy,
        "test_accuracy": accuracy,
    }
    others = dict.fromkeys(columns("epochs"), 1)
    return conform(rows.assign(**others | {name: rows[name] for name in rows} | logged | clocks), "epochs", "test")


def make_times(study, epochs):
    """Return a table of times to target in which the last seed reaches none."""
    first = epochs.drop_duplicates(KEY).merge(pd.DataFrame({"level": study.target_levels}), how="cross")
    seconds, reached = first["reference_seconds"], (first["seed"] < study.seeds - 1).astype(int)
    values = {"target": 0.5, "reached": reached, "updates": first["updates_mean"], "seconds": seconds}
    return conform(first.assign(**values)[list(columns("times_to_target"))], "times_to_target", "test")


def make_packs(study, comparisons):
    """Return a table of packs, one for each cell."""
    cells = make_cells(study, comparisons).assign(cell=json.dumps({"width": 64}), seeds=f"0-{study.seeds - 1}")
    facts = {"data_sha256": "d" * 64, "code": "c0de", "device": "cpu", "threads": 1}
    spent = {"training_seconds": 1.5, "peak_memory_mib": 250.25, "reason": ""}
    spent |= {"attempt": 1, "resumed_at_epochs": ""}
    return conform(cells.assign(log="logs/train/" + cells["strategy"] + ".log", **facts, **spent), "packs", "test")


def make_calibration(study, names=None):
    """Return a table of the calibration runs, all of which ended."""
    rows = pd.DataFrame({"dataset": names or study.datasets}).merge(
        pd.DataFrame({"seed": FIRST_CALIBRATION_SEED + np.arange(study.calibration_seeds)}), how="cross"
    )
    scores = dict.fromkeys((name for name in columns("calibration") if name.startswith("final_")), 0.9)
    return conform(rows.assign(depth=6, recipe="primary", status="ok", **scores), "calibration", "test")


def make_trends(study, **changes):
    """Return a table trends of the primary strategy over three depths and over three ratios."""
    row = {"budget": study.primary_budget, "recipe": "primary", "datasets": 9, "missing": 0, "statistic": 100.0}
    row |= {"direction": "decreasing", "p_value": 0.012}
    over = [
        {"over": "depth", "at": study.primary_strategy, "levels": "4 6 8"},
        {"over": "freeze_ratio", "at": f"depth {study.primary_depth}", "levels": "0.3 0.5 0.7"},
    ]
    return conform(pd.DataFrame([row | each | changes for each in over]), "trends", "test")


def make_speedups(study, names=None, low=1.1, high=1.3, closed_form=1.33):
    """Return a table speedups of the primary strategy, the same on every data set."""
    row = {"depth": study.primary_depth, "strategy": study.primary_strategy, "rounds": 15, "measured": 1.2}
    row |= {"low": low, "high": high, "closed_form": closed_form}
    return conform(pd.DataFrame([row | {"dataset": name} for name in names or study.datasets]), "speedups", "test")


def make_variations(study, **changes):
    """Return a table variations: each recipe ends lower, and takes longer, than the one before it."""
    rows = []
    for number, recipe in enumerate(study.recipes):
        row = {"recipe": recipe, "datasets": 2, "pairs": 6, "standard_value": 0.9, "cripples": "no"}
        for endpoint, effect, half in (("end", -0.01 * number, 0.005), ("time", 1 + 0.1 * number, 0.05)):
            of_endpoint = {"effect": effect, "low": effect - half, "high": effect + half, "sensitive": 2}
            row |= {f"{endpoint}_{name}": value for name, value in of_endpoint.items()}
        rows.append(row | {"end_verdict": "worse", "time_verdict": "higher"} | changes)
    return conform(pd.DataFrame(rows), "variations", "test")


def make_tables(folder, study, names=None, **changes):
    """Write every table that the report reads, and study.json."""
    comparisons = make_comparisons(study, names=names, **changes)
    epochs = make_epochs(study, comparisons)
    written = {
        "across_datasets": make_across(study),
        "endpoints": make_endpoints(study, names),
        "sensitivity": make_sensitivity(study, names),
        "targets": make_targets(study, names),
        "runs": make_runs(study, names),
        "comparisons": comparisons,
        "pairs": make_pairs(study, comparisons),
        "times_to_target": make_times(study, epochs),
        "packs": make_packs(study, comparisons),
        "calibration": make_calibration(study, names),
        "trends": make_trends(study),
        "speedups": make_speedups(study, names),
        "variations": make_variations(study),
    }
    for name, table in written.items():
        write_table(table, folder / f"{name}.csv")
    epochs.to_parquet(folder / "epochs.parquet", index=False)
    provenance = {
        "packs": 4,
        "git": [{"commit": "0123456789" * 4, "dirty": True}],
        "versions": [{"python": "3.11.0", "torch": "2.0.0"}],
        "device": ["cpu"],
        "device_name": ["x86_64"],
        "threads": [1],
        "hosts": 1,
        "dates": ["2026-01-30", "2026-02-01"],
        "code": ["c0de"],
        "training_seconds": 12.3,
        "wall_seconds": 20.4,
        "cpu_seconds": 18.1,
        "peak_memory_mib": 250.25,
    }
    write_json(folder / "study.json", {"config": study.config, "provenance": provenance})
    return folder


# a study whose results are written without training, so that every number is known
RESULTS_CONFIG = {
    "datasets": ["iris", "wine"],
    "depths": [4],
    "primary_depth": 4,
    "freeze_ratios": [0.5],
    "strategies": [
        "alternating",
        "standard_half_updates",
        "standard_matched_flops",
        "frozen_bottom",
        "random_half",
        {"name": "standard", "label": "again"},
    ],
    "seeds": 6,
    "seeds_per_job": 3,
    "epochs_standard": 3,
    "epochs_alternating": 3,
    "calibration_seeds": 3,
    "target_levels": [0.9, 1.0],
}
RESULTS_STUDY = make_study(**RESULTS_CONFIG)
# 13 + 7 + 6 + 6 rows in the validation part
RESULTS_CLASSES = np.repeat([0, 1, 2, 3], [63, 37, 30, 30])
# seconds of a step by how many of the first, the inner and the last layers learn; the start of an epoch takes one
RESULTS_SECONDS = {(1, 2, 1): 10.0, (0, 1, 1): 5.0, (1, 1, 0): 7.0, (0, 0, 0): 1.0}
TABLES = ["epochs", "runs", "packs", "calibration", "targets", "times_to_target", "reached", "tuning", "speedups"]


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file with the digits of a log."""
    with atomic_output(path) as file:
        file.write(csv_text(names, rows))


def results_workload(depth: int) -> Workload:
    """Return work of which every layer costs the same: three batches of 32 rows."""
    return Workload((4,) * (depth + 1), 96, 32)


def results_accuracies(dataset: str, strategy: str, seed: int, epoch: float) -> tuple[float, float]:
    """Return a run's validation and test accuracy after an epoch: better by the seed, standard training the best."""
    validation = {"iris": 0.6, "wine": 0.7}[dataset] + 0.01 * (seed % FIRST_CALIBRATION_SEED) + 0.05 * min(epoch, 2)
    validation -= 0.02 * (seed + 1) if strategy not in ("standard", "again") else 0
    return validation, validation / 2 + 0.001 * epoch


def _write_pack(results, study, pack, diverged, learning_rate, accuracies):
    """Write log and manifest of a pack as a training does."""
    cell, work = study.cell(pack.dataset, pack.depth, pack.strategy, pack.recipe), results_workload(pack.depth)
    cell = cell if learning_rate is None else cell.at(learning_rate)
    seeds = range(pack.first_seed, pack.last_seed + 1)
    steps, flops, updates, rows, flow = 0, 0, np.zeros(pack.depth, int), [], []
    for epoch in cell.plan(work):
        steps, flops, updates = steps + len(epoch.steps), flops + epoch.flops(work), updates + epoch.updates()
        made = steps / len(work.batches)
        # a clock that is not named here counts the steps
        counted = {clock.column: steps for clock in CLOCKS.values() if clock.name != "seconds"} | {"epoch": made}
        counted |= {"active": "1-4", "learning_rate": 0.1, "flops": flops, "updates": " ".join(map(str, updates))}
        counted |= {"updates_mean": float(updates.mean()), "updates_minimum": min(updates), "seconds": 2.0 * made}
        for seed in seeds:
            gone = (pack.dataset, pack.strategy, seed) in diverged and made >= 2
            validation, test = [math.nan] * 2 if gone else accuracies(pack.dataset, pack.strategy, seed, made)
            # the mirror of the accuracy: a run that is better by one metric is so by all
            losses = {"train_loss": 1 - validation, "validation_loss": 1 - validation, "test_loss": 1 - test}
            shares = {"validation_accuracy": validation, "test_accuracy": test}
            shares |= {"validation_balanced_accuracy": validation, "test_balanced_accuracy": test}
            status = "diverged" if gone else "ok"
            rows.append({"seed": seed, "epoch": made, "status": status, **losses, **shares, **counted})
            flow += [(seed, made, layer, 0.5, 0.1, math.nan, math.nan) for layer in range(1, pack.depth + 1)]
    stem = results / "runs" / pack.stem
    log, flow_log = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".flow.csv"))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(log_text(rows), encoding="utf-8")
    if study.gradient_flow:
        # torch would be imported with the names that the flow has
        write_csv(flow_log, [name for name in columns("gradient_flow") if name not in CELL], flow)
    manifest = {
        "cell": cell.as_dict(),
        "seeds": list(seeds),
        "rows": len(rows),
        "workload": work._asdict(),
        "log_sha256": sha256_of_file(log),
        "flow_sha256": sha256_of_file(flow_log) if study.gradient_flow else None,
        "data_sha256": sha256_of_file(results / "data" / f"{pack.dataset}.npz"),
        "device": "cpu",
        **{key: 1.0 for key in ("training_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib")},
        **{key: "same" for key in ("git", "code", "versions", "device_name", "host")},
        "threads": 1,
        "attempt": 1,
        "resumed_at_epochs": [],
    }
    write_json(stem.with_name(stem.name + ".json"), manifest)


def write_timing(results: Path, study: Study = RESULTS_STUDY) -> None:
    """Write the table timing of a study: six rounds of the same seconds, see RESULTS_SECONDS."""
    rows = []
    for dataset, depth in study.places:
        work = results_workload(depth)
        plans = [study.cell(dataset, depth, label).plan(work) for label in study.strategies]
        for kind in sorted(set().union(*(plan_work(epochs, work) for epochs in plans))):
            seconds = RESULTS_SECONDS.get((kind.first, kind.inner, kind.last), 6.0)
            rows += [(dataset, depth, *kind, number, seconds) for number in range(1, 7)]
    write_csv(results / "tables" / "timing.csv", list(columns("timing")), rows)


def _write_tuning(results, study, where, learning_rate):
    """Write what the tuning of a cell found."""
    trials = [
        {"learning_rate": tried, "seeds": 3, "diverged": 0, "validation_accuracy": 0.7, "validation_loss": None}
        | {"median": 0.7}
        for tried in study.learning_rates_to_try
    ]
    content = {
        "learning_rate": learning_rate,
        "trials": trials,
        "cell": study.cell(*where).as_dict(),
        "data_sha256": sha256_of_file(results / "data" / f"{where[0]}.npz"),
        "metric": study.metric.name,
    }
    write_json(results / tuning_file(where), content)


def write_results(
    results: Path,
    study: Study = RESULTS_STUDY,
    diverged: Collection[tuple[str, str, int]] = (),
    accuracies: Callable[[str, str, int, float], tuple[float, float]] = results_accuracies,
) -> Path:
    """Write the data sets, logs, manifests, tunings and timing of a study, without training.

    Parameters
    ----------
    results : pathlib.Path
        Folder to write to.
    study : Study
    diverged : collection of (str, str, int)
        Data set, strategy and seed of the runs that diverge after their first epoch.
    accuracies : callable
        Of (data set, strategy, seed, epoch): validation and test accuracy.

    Returns
    -------
    pathlib.Path
        `results`.
    """
    (results / "data").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(study.datasets):
        np.savez(results / "data" / f"{name}.npz", X=np.full((160, 4), float(number)), y=RESULTS_CLASSES)
    for where in study.tunings:
        _write_tuning(results, study, where, study.learning_rates_to_try[-1])
    for pack in study.packs:
        learning_rate = study.learning_rates_to_try[-1] if study.tuned_by(pack.recipe) else None
        _write_pack(results, study, pack, diverged, learning_rate, accuracies)
    write_timing(results, study)
    return results


def train_results(results: Path, study: Study) -> Path:
    """Train every pack of a study that is not tuned as the workflow does, and write its timing; return `results`."""
    from altfreeze.data.dataset import save_dataset
    from altfreeze.training.job import run

    write_json(results / "study.json", study.config)
    for name in study.datasets:
        data, source = results / "data" / name, study.sources[name]
        save_dataset(
            load_dataset(name, source, study.seed), name, source, data.with_suffix(".npz"), data.with_suffix(".json")
        )
    for pack in study.packs:
        stem = results / "runs" / pack.stem
        outputs = [stem.with_name(stem.name + suffix) for suffix in (".csv", ".json", ".flow.csv")]
        cell = study.cell(pack.dataset, pack.depth, pack.strategy, pack.recipe)
        given = (results / "data" / f"{pack.dataset}.npz", cell, range(pack.first_seed, pack.last_seed + 1))
        run(*given, "cpu", 1, *(outputs if study.gradient_flow else outputs[:2]))
    return results


def read_tables(folder: Path, names: Iterable[str] = TABLES) -> dict[str, pd.DataFrame]:
    """Return tables of a folder by their names."""
    stored = {"epochs": "parquet", "gradient_flow": "parquet"}
    return {name: read_table(folder / f"{name}.{stored.get(name, 'csv')}", name) for name in names}


def collect_tables(results: Path, study: Study = RESULTS_STUDY) -> dict[str, pd.DataFrame]:
    """Collect the results of a study, and return its tables by their names."""
    collect(study, results, results / "tables")
    return read_tables(results / "tables")


# what is compared, but for the table pairs
COMPARED = ["comparisons", "across_datasets", "trends", "times", "profiles", "matrix"]
COMPARED += ["self_comparison", "variance", "seeds_needed", "endpoints", "sensitivity", "variations"]


def compare_tables(results: Path, study: Study = RESULTS_STUDY) -> dict[str, pd.DataFrame]:
    """Compare what was collected of a study, and return the tables that compare by their names."""
    compare(study, results / "tables")
    return read_tables(results / "tables", COMPARED)


def compare_results(folder: Path, study: Study = RESULTS_STUDY, **options: Any) -> dict[str, pd.DataFrame]:
    """Write the results of a study to a folder named results, see `write_results`, and return what is compared."""
    results = write_results(folder / "results", study, **options)
    collect(study, results, results / "tables")
    return compare_tables(results, study)


def change_text(path: Path, change: Callable[[str], str]) -> None:
    """Write a file anew, its text changed."""
    path.write_text(change(path.read_text()))


def change_json(path: Path, **keys: Any) -> None:
    """Write a JSON file anew, some of its keys changed."""
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def remove_pack(results: Path, pack: Pack) -> None:
    """Remove log and manifest of a pack."""
    for suffix in (".csv", ".json"):
        (results / "runs" / f"{pack.stem}{suffix}").unlink()


# ---- pages in a browser

# the data of the report, its charting library, its copy buttons and its explorer
REPORT_SCRIPTS = 4
LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "formaction", "background", "ping"}
AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


class References(HTMLParser):
    """Collects elements, ids and all that a document may load or link."""

    def __init__(self, text):
        super().__init__()
        self.found, self.links, self.tags, self.handlers, self.inside_style = [], [], [], [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside_style = tag == "style"
        for name, value in attributes:
            if name in LOADING:
                (self.links if (tag, name) == ("a", "href") else self.found).append(value or "")
            if name == "srcset":
                self.found += [part.split()[0] for part in (value or "").split(",") if part.split()]
            if name.startswith("on"):
                self.handlers.append(name)
            if tag == "meta" and name == "content" and "url=" in (value or "").lower():
                self.found.append(value)
            if not name.startswith("xmlns"):
                self._css(value or "")

    def handle_endtag(self, tag):
        self.inside_style = False

    def handle_data(self, data):
        if self.inside_style:
            self._css(data)

    def _css(self, text):
        self.found += [url.strip("'\" ") for url in re.findall(r"url\(([^)]*)\)", text, re.IGNORECASE)]
        self.found += re.findall(r"@import[^;]*", text, re.IGNORECASE)

    def external(self):
        """Return the references that leave the folder of results."""
        return [
            url
            for url in [*self.found, *self.links]
            if not re.fullmatch(r"#.*|data:.*|[\w./%-]+\.(html(#.*)?|log)", url, re.DOTALL)
        ]


def assert_loads_nothing(path, scripts=0, cites=False):
    """Check that a document neither refers to anything outside nor runs anything but so many scripts of its own.

    A document that cites may link its sources: nothing is loaded before a reader follows a link.
    """
    references = References(path.read_text(encoding="utf-8"))
    if cites:
        references.links = [url for url in references.links if not url.startswith("https://")]
    assert references.external() == []
    assert references.handlers == []
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(references.tags)
    assert references.tags.count("script") == scripts
    policy = re.search(r"content=\"(default-src 'none'; [^\"]*)\"", path.read_text(encoding="utf-8"))
    assert "eval" not in policy[1]
    sources = policy[1].partition("script-src ")[2].split()
    assert all(source.startswith("'sha256-") for source in sources)
    assert bool(sources) == bool(scripts)


def open_page(browser, path):
    """Open a file and check that nothing was logged to the console."""
    # what the page before logged is not this one's
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []


def emulate(browser, width=1280, theme="light"):
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
