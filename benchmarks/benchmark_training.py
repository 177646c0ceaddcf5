"""Measure what training costs next to its alternatives and its limit, and print tables.

Three questions: how fast is a run of stacked training, how long does a training job
take to start, and which share of a study's wall time is training? All timings of a
table are taken in turn, A B C A B C, so that other load on the machine meets all of
them alike, and each is a median over the rounds. Called as
``python benchmarks/benchmark_training.py``.
"""

import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

# the libraries read these when they are imported
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# the package of this checkout, installed or not
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
import torch
from altfreeze.data.split import split_of_seed, standardise
from altfreeze.study.reading import read, study_of
from altfreeze.training.network import layer_sizes
from altfreeze.training.trainer import train_pack
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).resolve().parents[1]
BATCH_SIZE = 64
LEARNING_RATE = 0.001
START_UP_ROUNDS = 5
CORES = 2
NOTEBOOK_GOAL = 30
PRODUCTS_GOAL = 2


class Group(NamedTuple):
    """Networks of one shape, measured in turn."""

    depth: int
    width: int
    epochs: dict
    """Number of seeds S to the epochs that a pack of S is trained."""
    loop_epochs: int
    """Epochs of the two contenders that train one seed at a time."""
    rounds: int


GOAL = Group(depth=6, width=64, epochs={10: 10}, loop_epochs=10, rounds=11)
GROUPS = (
    GOAL,
    Group(depth=4, width=64, epochs={1: 5, 10: 5, 50: 5}, loop_epochs=5, rounds=5),
    Group(depth=8, width=64, epochs={1: 5, 10: 5, 50: 5}, loop_epochs=5, rounds=5),
    Group(depth=4, width=512, epochs={1: 4, 10: 2, 50: 1}, loop_epochs=2, rounds=3),
    Group(depth=8, width=512, epochs={1: 4, 10: 2, 50: 1}, loop_epochs=2, rounds=3),
)


def training_study(depth, width, epochs, **settings):
    """Return a study of training with Adam at one depth, on the data sets of the default study.

    Parameters
    ----------
    depth, width, epochs : int
    **settings
        Keys of the configuration that differ from the default study and from these arguments.

    Returns
    -------
    altfreeze.study.grid.Study
    """
    settings = {
        "depths": [depth],
        "primary_depth": depth,
        "width": width,
        "epochs_standard": epochs,
        "epochs_alternating": epochs,
        "batch_size": BATCH_SIZE,
        "dropout": 0.0,
        "optimizer": "adam",
        "learning_rate": LEARNING_RATE,
        "learning_rate_schedule": "constant",
        "weight_decay": 0.0,
    } | settings
    return study_of(read(ROOT / "config" / "config.yaml") | settings)


def training_cell(dataset, depth, width, epochs, strategy="standard", **settings):
    """Return a cell of `training_study`, on any data set.

    Parameters
    ----------
    dataset : str
    depth, width, epochs, **settings
        See `training_study`.
    strategy : str
        A label; see `altfreeze.study.grid.Study.strategies`.

    Returns
    -------
    altfreeze.study.cell.Cell
    """
    return replace(training_study(depth, width, epochs, **settings).cell("digits", depth, strategy), dataset=dataset)


def time_stacked(X, y, cell, members):
    """Return the seconds per run and epoch on the training clock of a pack."""
    return train_pack(X, y, cell, range(members)).seconds / members / cell.epochs


def time_notebook(x, targets, sizes, epochs):
    """Return the seconds per run and epoch of the loop that a notebook would hold.

    Parameters
    ----------
    x : ndarray of float32, shape (rows, features)
    targets : ndarray of int64, shape (rows,)
    sizes : list of int
        See `altfreeze.training.network.layer_sizes`.
    epochs : int

    Returns
    -------
    float
    """
    layers = [layer for shape in itertools.pairwise(sizes) for layer in (nn.Linear(*shape), nn.ReLU())]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(targets))
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch, labels in loader:
            optimizer.zero_grad()
            loss = criterion(network(batch), labels)
            loss.backward()
            optimizer.step()
    return (time.perf_counter() - start) / epochs


def time_scikit_learn(x, targets, sizes, epochs):
    """Return the seconds per run and epoch of `MLPClassifier.fit`; parameters as `time_notebook`."""
    classifier = MLPClassifier(
        hidden_layer_sizes=sizes[1:-1],
        solver="adam",
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        batch_size=BATCH_SIZE,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
        tol=0.0,
        early_stopping=False,
        shuffle=True,
    )
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(x, targets)
    return (time.perf_counter() - start) / epochs


def time_products(rows, sizes, epochs, members):
    """Return the seconds per run and epoch of the matrix products alone.

    These are the products that no implementation can leave out: forward and weight
    gradient of every layer, input gradient of every layer but the first.

    Parameters
    ----------
    rows : int
        Rows that an epoch visits.
    sizes : list of int
        See `altfreeze.training.network.layer_sizes`.
    epochs, members : int

    Returns
    -------
    float
    """
    full, rest = divmod(rows, BATCH_SIZE)
    seconds = 0.0
    for batch, steps in ((BATCH_SIZE, full * epochs), (rest, epochs if rest else 0)):
        # all memory is there before the clock starts, so that only the products are timed
        layers = [
            (
                torch.randn(members, batch, fan_in),
                torch.randn(members, fan_in, fan_out),
                torch.randn(members, batch, fan_out),
                torch.zeros(members, batch, fan_out),
                torch.zeros(members, fan_in, fan_out),
                torch.zeros(members, batch, fan_in),
            )
            for fan_in, fan_out in itertools.pairwise(sizes)
        ]
        start = time.perf_counter()
        for _ in range(steps):
            for index, (x, weight, gradient, output, weight_gradient, input_gradient) in enumerate(layers):
                torch.bmm(x, weight, out=output)
                torch.bmm(x.transpose(1, 2), gradient, out=weight_gradient)
                if index:
                    torch.bmm(gradient, weight.transpose(1, 2), out=input_gradient)
        seconds += time.perf_counter() - start
    return seconds / members / epochs


def interleave(contenders, rounds):
    """Time contenders in turn.

    Parameters
    ----------
    contenders : dict of str to callable
        Each returns its own seconds.
    rounds : int

    Returns
    -------
    dict of str to ndarray of float, shape (rounds,)
    """
    seconds = [[contender() for contender in contenders.values()] for _ in range(rounds)]
    return dict(zip(contenders, np.array(seconds).T, strict=True))


def spread(values, factor=1):
    """Return median and quartiles as text."""
    low, median, high = np.percentile(values, [25, 50, 75]) * factor
    return f"{median:.3g} ({low:.3g}–{high:.3g})"


def print_table(title, header, rows):
    """Print a table with aligned columns.

    Parameters
    ----------
    title : str
    header : sequence of str
    rows : sequence of sequence of str
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print(f"\n{title}")
    for row in (header, ["-" * width for width in widths], *rows):
        print("  ".join(value.rjust(width) for value, width in zip(row, widths, strict=True)))


def measure_training():
    """Print what a run of stacked training costs.

    Returns
    -------
    tuple of ndarray of float, shape (rounds,)
        At the cell of the goals, by round: seconds of the notebook loop over those of
        stacked training, and those of stacked training over those of the products.
    """
    digits = load_digits()
    X, y = digits.data, digits.target
    classes = int(y.max()) + 1
    cell = training_cell("digits", GOAL.depth, GOAL.width, 1)
    train = split_of_seed(y, cell.study_seed, "digits", 0).train
    x, targets = standardise(X, train)[train], y[train]

    # first calls import, allocate and choose kernels
    sizes = layer_sizes(X.shape[1], GOAL.width, GOAL.depth, classes)
    time_stacked(X, y, cell, 2)
    time_notebook(x, targets, sizes, 1)
    time_scikit_learn(x, targets, sizes, 1)
    time_products(len(train), sizes, 1, 2)

    rows = []
    for group in GROUPS:
        sizes = layer_sizes(X.shape[1], group.width, group.depth, classes)
        contenders = {
            "notebook": lambda sizes=sizes, epochs=group.loop_epochs: time_notebook(x, targets, sizes, epochs),
            "scikit-learn": lambda sizes=sizes, epochs=group.loop_epochs: time_scikit_learn(x, targets, sizes, epochs),
        }
        for members, epochs in group.epochs.items():
            cell = training_cell("digits", group.depth, group.width, epochs)
            contenders["stacked", members] = lambda cell=cell, members=members: time_stacked(X, y, cell, members)
            contenders["products", members] = lambda sizes=sizes, epochs=epochs, members=members: time_products(
                len(train), sizes, epochs, members
            )
        seconds = interleave(contenders, group.rounds)
        for members, epochs in group.epochs.items():
            stacked, products = seconds["stacked", members], seconds["products", members]
            timings = (stacked, seconds["notebook"], seconds["scikit-learn"], products)
            ratios = [seconds["notebook"] / stacked, seconds["scikit-learn"] / stacked, stacked / products]
            if group is GOAL:
                measured = ratios[0], ratios[2]
            shape = map(str, (group.depth, group.width, members, epochs, group.rounds))
            medians = [f"{np.median(ratio):.2f}" for ratio in ratios]
            rows.append([*shape, *(spread(timing, 1000) for timing in timings), *medians])
    print_table(
        "Training, milliseconds per run and epoch: median (quartiles); digits, batch 64, Adam, one thread.\n"
        "The ratios are medians of the rounds' ratios.",
        [
            *("depth", "width", "S", "epochs", "rounds"),
            *("stacked", "notebook loop", "scikit-learn", "bare products"),
            *("notebook/stacked", "scikit-learn/stacked", "stacked/products"),
        ],
        rows,
    )
    return measured


def run_process(command, folder, environment):
    """Run a process to its end and return its wall seconds; end with its output if it fails."""
    start = time.perf_counter()
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{process.stdout[-4000:]}\n{process.stderr[-4000:]}")
    return seconds


def measure_start_up(folder):
    """Print what a training job costs before it trains.

    Parameters
    ----------
    folder : Path
        An empty folder to write to.
    """
    iris = load_iris()
    np.savez(folder / "iris.npz", X=iris.data, y=iris.target)
    config = training_study(depth=4, width=8, epochs=1).config
    (folder / "study.json").write_text(json.dumps(config), encoding="utf-8")
    job = ["-m", "altfreeze", "train", "--study", "study.json", "--data", "iris.npz", "--dataset", "iris"]
    job += ["--depth", "4", "--strategy", "standard", "--recipe", "primary", "--seeds", "0-0", "--device", "cpu"]
    job += ["--output", "log.csv", "--manifest", "manifest.json"]
    commands = {"training job, 1 epoch": job, "import torch": ["-c", "import torch"], "python": ["-c", "pass"]}
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    contenders = {
        name: lambda command=command: run_process([sys.executable, *command], folder, environment)
        for name, command in commands.items()
    }
    # the first process reads the libraries from disk
    interleave(contenders, 1)
    seconds = interleave(contenders, START_UP_ROUNDS)
    imported = seconds["import torch"]
    print_table(
        f"Start-up, seconds of a whole process: median (quartiles) of {START_UP_ROUNDS} rounds",
        ["process", "seconds", "over import torch"],
        [[name, spread(values), f"{np.median(values / imported):.2f}"] for name, values in seconds.items()],
    )


def measure_study(folder):
    """Print which share of a small study's wall time is training.

    Parameters
    ----------
    folder : Path
        An empty folder to write to.
    """
    # a copy: another Snakemake may hold the lock of this folder
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # the rules call `python`, which has to be this one
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "snakemake", "--cores", str(CORES)]
    command += ["--configfile", "config/studies/smoke.yaml", "--config", "results=results/benchmark"]
    wall = run_process(command, folder, os.environ | {"PATH": path})
    manifests = [json.loads(file.read_text()) for file in (folder / "results/benchmark/runs").rglob("*.json")]
    training = sum(manifest["training_seconds"] for manifest in manifests)
    print_table(
        f"Smoke study, snakemake --cores {CORES}",
        ["training jobs", "training seconds", "wall seconds", "training/wall", "training/(wall × cores)"],
        [
            [
                str(len(manifests)),
                f"{training:.2f}",
                f"{wall:.1f}",
                f"{training / wall:.1%}",
                f"{training / wall / CORES:.1%}",
            ]
        ],
    )


def machine():
    """Return the processor, the cores, the versions and the threads as text."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    processor = next(names, platform.processor() or platform.machine())
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"{processor}, {cores} cores, {platform.system()}, torch {torch.__version__}, {threads} thread"


def main():
    """Measure everything and print it, the goals last."""
    start = time.perf_counter()
    print(machine())
    notebook, products = measure_training()
    for measure in (measure_start_up, measure_study):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))
    cell = f"digits, depth {GOAL.depth}, width {GOAL.width}, batch {BATCH_SIZE}, S = 10, one thread"
    goals = [
        (f"at least {NOTEBOOK_GOAL} times as fast as the notebook loop", notebook, NOTEBOOK_GOAL, np.greater_equal),
        (f"at most {PRODUCTS_GOAL} times the bare products", products, PRODUCTS_GOAL, np.less_equal),
    ]
    print_table(
        f"Goals: {cell}",
        ["goal", "measured", ""],
        [
            [goal, spread(ratios), "met" if reached(np.median(ratios), limit) else "missed"]
            for goal, ratios, limit, reached in goals
        ],
    )
    print(f"\nmeasured in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
