"""Train one pack: the seeds of one cell, stacked, with per-epoch records."""

import contextlib
import csv
import inspect
import math
import os
import resource
import sys
import time
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from altfreeze import InputError
from altfreeze.cost import step_flops
from altfreeze.data import batch_order, split_of_seed, standardise
from altfreeze.files import atomic_output, sha256_of_file, write_json
from altfreeze.models import StackedMLP, dropout_masks, layer_sizes
from altfreeze.provenance import NUMERIC_MODULES, fingerprint, git_state, versions
from altfreeze.randomness import stream_seed
from altfreeze.schedules import Position, active_layers

LOG_COLUMNS = (
    "seed",
    "epoch",
    "status",
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "test_accuracy",
    "active",
    "learning_rate",
    "flops",
    "updates_bottom",
    "updates_top",
    "seconds",
)
EVALUATION_FLOATS = 2**20

# the decorators of torch's optimizers would load its compiler, which is not used and as slow to import as torch
for _method in vars(torch.optim.Optimizer).values():
    if hasattr(_method, "__wrapped__"):
        vars(_method.__wrapped__).setdefault("__dynamo_disable", _method.__wrapped__)


class TrainedPack(NamedTuple):
    """What `train_pack` returns."""

    rows: list
    network: StackedMLP
    optimizer: torch.optim.Optimizer
    diverged: dict
    seconds: float


def make_optimizer(parameters, cell):
    """Return the optimizer of a cell; it is made once and lives through all phases.

    Parameters
    ----------
    parameters : iterable of Parameter
    cell : dict
        See `altfreeze.config.cell`.

    Returns
    -------
    torch.optim.Optimizer
        All of them act element by element, thus on each member of a stack alone.
    """
    common = {"lr": cell["learning_rate"], "weight_decay": cell["weight_decay"], "fused": True}
    if cell["optimizer"] == "sgd":
        return torch.optim.SGD(parameters, momentum=cell["momentum"], **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cell["optimizer"]](parameters, **common)


def learning_rate(cell, epoch):
    """Return the learning rate of an epoch, counted from 0.

    ``cosine`` decays over the cell's own epochs E as lr (1 + cos(pi epoch / E)) / 2
    (Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, equation 5 with a
    minimum of 0 and no restart).

    Parameters
    ----------
    cell : dict
        See `altfreeze.config.cell`.
    epoch : int

    Returns
    -------
    float
    """
    if cell["learning_rate_schedule"] == "constant":
        return cell["learning_rate"]
    return cell["learning_rate"] * (1 + math.cos(math.pi * epoch / cell["epochs"])) / 2


def _checksum(network, optimizer, active):
    """Return the bits of all frozen weights and of their optimizer state, summed."""
    total = torch.zeros((), dtype=torch.int64, device=network.weights[0].device)
    for index, learns in enumerate(active):
        for parameter in network.layer(index) if not learns else ():
            for tensor in (parameter.detach(), *optimizer.state.get(parameter, {}).values()):
                if torch.is_tensor(tensor):
                    total += tensor.contiguous().view(torch.int32).sum(dtype=torch.int64).to(total.device)
    return total.item()


class PhaseSwitch:
    """Freeze and thaw the layers of a network, and check that frozen ones stayed as they were.

    Parameters
    ----------
    network : StackedMLP
    optimizer : torch.optim.Optimizer
    reset_on_thaw : bool
        Forget a layer's optimizer state when it thaws.
    """

    def __init__(self, network, optimizer, reset_on_thaw):
        self.network = network
        self.optimizer = optimizer
        self.reset_on_thaw = reset_on_thaw
        self.active = (True,) * network.depth
        self.frozen_checksum = 0

    def check(self):
        """Check that the frozen layers are what they were when they froze.

        Raises
        ------
        RuntimeError
            If a frozen parameter has a gradient, or it or its optimizer state changed.
        """
        for index, learns in enumerate(self.active):
            for parameter in self.network.layer(index):
                if parameter.requires_grad != learns or (not learns and parameter.grad is not None):
                    raise RuntimeError(f"layer {index + 1} is not {'active' if learns else 'frozen'} as scheduled")
        if _checksum(self.network, self.optimizer, self.active) != self.frozen_checksum:
            raise RuntimeError("a frozen layer or its optimizer state changed during a phase")

    def to(self, active):
        """Begin a phase.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn, bottom first.
        """
        thawed = [index for index, learns in enumerate(active) if learns and not self.active[index]]
        self.network.set_active(active)
        if self.reset_on_thaw:
            for index in thawed:
                for parameter in self.network.layer(index):
                    self.optimizer.state.pop(parameter, None)
        self.active = active

    def remember(self):
        """Note what the frozen layers are now, for the next `check`."""
        self.frozen_checksum = _checksum(self.network, self.optimizer, self.active)


class Clock:
    """Seconds of training: what runs between `start` and `stop`, summed."""

    def __init__(self, device):
        self.wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.seconds = 0.0

    def start(self):
        """Let the clock run."""
        self.wait()
        self.started = time.perf_counter()

    def stop(self):
        """Stop the clock once the device has finished."""
        self.wait()
        self.seconds += time.perf_counter() - self.started

    @contextlib.contextmanager
    def paused(self):
        """Keep what runs inside off the clock."""
        self.stop()
        yield
        self.start()


def _member_losses(logits, targets):
    """Return the cross-entropy of each row: (S, batch) from (S, batch, classes) and (S, batch)."""
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape)


@torch.no_grad()
def evaluate(network, x, targets):
    """Return each row's loss and whether it is classified correctly.

    Parameters
    ----------
    network : StackedMLP
    x : Tensor, shape (S, rows, features)
    targets : Tensor of int64, shape (S, rows)

    Returns
    -------
    losses : Tensor, shape (S, rows)
    correct : Tensor of bool, shape (S, rows)
    """
    widest = max(weight.shape[2] for weight in network.weights)
    rows = max(1, EVALUATION_FLOATS // (x.shape[0] * widest))
    parts = [(network(part), chosen) for part, chosen in zip(x.split(rows, 1), targets.split(rows, 1), strict=True)]
    losses = [_member_losses(logits, chosen) for logits, chosen in parts]
    correct = [logits.argmax(-1) == chosen for logits, chosen in parts]
    return torch.cat(losses, 1), torch.cat(correct, 1)


def _group(plan):
    """Return the name of the layers that learned in an epoch: 'all', 'bottom', 'top' or 'bottom+top' in turn."""
    if all(map(all, plan)):
        return "all"
    return "+".join(name for name, layer in (("bottom", 0), ("top", -1)) if any(active[layer] for active in plan))


def train_pack(X, y, cell, seeds, device="cpu", progress=None):
    """Train the seeds of one cell together.

    Each seed has a split, initial weights, batches, dropout masks, gradients and
    updates of its own, all of them independent of the strategy and of the other
    seeds of the pack (`altfreeze.randomness`). The loss that is differentiated is the
    sum over seeds of each seed's mean over its batch.

    Parameters
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features; NaN where missing.
    y : ndarray of int64, shape (rows,)
        Classes, 0 .. classes - 1.
    cell : dict
        See `altfreeze.config.cell`.
    seeds : sequence of int, length S
    device : str
        ``cpu`` or ``cuda``.
    progress : callable, optional
        Called after each epoch with that epoch's rows.

    Returns
    -------
    TrainedPack
        ``rows``: one dict per epoch and seed with the keys `LOG_COLUMNS`. ``train_loss``
        is the mean over the epoch's rows, each at the weights its batch met; ``flops``
        (cost model) and updates are cumulative and of one network; ``updates_bottom`` and
        ``updates_top`` count the updates of the first and the last layer; ``seconds`` are
        cumulative, of the whole pack, without evaluation. ``diverged``: seed to the first
        epoch whose loss was not finite; from then on its losses and accuracies are NaN.
        ``network`` and ``optimizer`` as they are at the end, ``seconds`` of training.

    Raises
    ------
    RuntimeError
        If a frozen layer changed (a defect of this program or of its libraries).
    """
    device = torch.device(device)
    study_seed, dataset, depth = cell["study_seed"], cell["dataset"], cell["depth"]
    keys = [(study_seed, dataset, depth, seed) for seed in seeds]
    splits = [split_of_seed(y, *key) for key in keys]
    standardised = [standardise(X, split.train) for split in splits]

    def stacked(part):
        indices = [getattr(split, part) for split in splits]
        x = np.stack([features[rows] for features, rows in zip(standardised, indices, strict=True)])
        return torch.from_numpy(x).to(device), torch.from_numpy(y[np.stack(indices)]).to(device)

    x_train, y_train = stacked("train")
    validation, test = stacked("validation"), stacked("test")
    rows, batch_size = x_train.shape[1], cell["batch_size"]
    sizes = layer_sizes(X.shape[1], cell["width"], depth, int(y.max()) + 1)
    network = StackedMLP(sizes, [stream_seed(*key, "initial weights") for key in keys], cell["dropout"]).to(device)
    generators = [torch.Generator().manual_seed(stream_seed(*key, "dropout")) for key in keys]
    optimizer = make_optimizer(network.parameters(), cell)
    switch = PhaseSwitch(network, optimizer, cell.get("state_on_thaw") == "reset")
    step_optimizer = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    clock = Clock(device)
    members = torch.arange(len(seeds), device=device).unsqueeze(1)
    starts = range(0, rows, batch_size)
    flops = updates_bottom = updates_top = 0
    diverged, records = {}, []

    for epoch in range(cell["epochs"]):
        rate = learning_rate(cell, epoch)
        plan = [
            active_layers(cell["strategy"], Position(epoch, step, len(starts)), depth) for step in range(len(starts))
        ]
        clock.start()
        for group in optimizer.param_groups:
            group["lr"] = rate
        order = np.stack([batch_order(*key, epoch, rows) for key in keys])
        order = torch.from_numpy(order).to(device)
        x_epoch, y_epoch = x_train[members, order], y_train[members, order]
        loss_sum = torch.zeros(len(seeds), device=device)
        for start, active in zip(starts, plan, strict=True):
            if active != switch.active:
                with clock.paused():
                    switch.check()
                switch.to(active)
                with clock.paused():
                    switch.remember()
            x, targets = x_epoch[:, start : start + batch_size], y_epoch[:, start : start + batch_size]
            batch = x.shape[1]
            keep = None
            if cell["dropout"]:
                keep = dropout_masks(generators, cell["dropout"], depth, batch, cell["width"]).to(device)
            loss_sum += network.compute_gradients(x, targets, keep).sum(1)
            step_optimizer(optimizer)
        clock.stop()
        flops += sum(
            step_flops(sizes, min(batch_size, rows - start), active) for start, active in zip(starts, plan, strict=True)
        )
        updates_bottom += sum(active[0] for active in plan)
        updates_top += sum(active[-1] for active in plan)

        train_loss = (loss_sum / rows).tolist()
        losses, correct = evaluate(network, *validation)
        validation_loss = losses.mean(1).tolist()
        validation_accuracy = correct.double().mean(1).tolist()
        test_accuracy = evaluate(network, *test)[1].double().mean(1).tolist()
        for index, seed in enumerate(seeds):
            if not (math.isfinite(train_loss[index]) and math.isfinite(validation_loss[index])):
                diverged.setdefault(seed, epoch + 1)
            measured = (train_loss, validation_loss, validation_accuracy, test_accuracy)
            values = [math.nan if seed in diverged else value[index] for value in measured]
            status = "diverged" if seed in diverged else "ok"
            counted = (_group(plan), rate, flops, updates_bottom, updates_top, clock.seconds)
            record = (seed, epoch + 1, status, *values, *counted)
            records.append(dict(zip(LOG_COLUMNS, record, strict=True)))
        if progress is not None:
            progress(records[-len(seeds) :])
    switch.check()
    return TrainedPack(records, network, optimizer, diverged, clock.seconds)


def choose_device(device):
    """Return 'cpu' or 'cuda' for 'auto', 'cpu' or 'cuda'.

    Raises
    ------
    InputError
        If cuda is asked for and torch finds none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("device: cuda was asked for, but torch finds no CUDA GPU here; allowed here: auto, cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def _show_progress(cell, seeds):
    """Return a progress callback: a bar on a terminal, about ten plain lines elsewhere."""
    name = cell["strategy"]["name"]
    title = f"{cell['dataset']} depth {cell['depth']} {name} {cell['strategy'].get('freeze_ratio', '')}".strip()
    epochs = cell["epochs"]
    bar = tqdm(total=epochs, desc=title, unit="epoch", disable=not sys.stderr.isatty())

    def progress(rows):
        epoch = rows[0]["epoch"]
        accuracies = [row["validation_accuracy"] for row in rows if row["status"] == "ok"]
        accuracy = f"median validation accuracy {np.median(accuracies):.3f}" if accuracies else "all diverged"
        bar.set_postfix_str(accuracy, refresh=False)
        bar.update()
        if bar.disable and (epoch % max(1, epochs // 10) == 0 or epoch == epochs):
            seconds = f"{rows[0]['seconds']:.2f} s of training"
            print(
                f"{title}: epoch {epoch}/{epochs}, {accuracy}, {len(accuracies)} of {len(seeds)} seeds ok, {seconds}",
                file=sys.stderr,
            )
        if epoch == epochs:
            bar.close()

    return progress


def _text(value):
    """Return a value as it stands in the log: 9 digits hold a float32 exactly, NaN is empty."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return str(value)


def write_log(path, rows):
    """Write the rows of a pack as CSV, atomically.

    Parameters
    ----------
    path : path
    rows : list of dict
        With the keys `LOG_COLUMNS`.
    """
    with atomic_output(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        writer.writerows([_text(row[column]) for column in LOG_COLUMNS] for row in rows)


def run(data_path, cell, seeds, device, threads, log_path, manifest_path):
    """Train one pack from a stored data set and write its log and then its manifest.

    Parameters
    ----------
    data_path : path
        The npz of the data set; see `altfreeze.datasets.save_dataset`.
    cell : dict
        See `altfreeze.config.cell`.
    seeds : sequence of int
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.
    log_path, manifest_path : path
        Outputs. The manifest is written last: where it stands, the log is whole.

    Raises
    ------
    InputError
        If the device is not there or the data cannot be read.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    device = choose_device(device)
    torch.set_num_threads(threads)
    # the decayed momenta of dead units are subnormal, and would slow a step down many times
    torch.set_flush_denormal(True)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with np.load(data_path, allow_pickle=False) as stored:
            X, y = stored["X"], stored["y"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{data_path}: not a stored data set: {' '.join(str(error).split())}") from None
    trained = train_pack(X, y, cell, seeds, device, _show_progress(cell, seeds))
    write_log(log_path, trained.rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifest = {
        "cell": cell,
        "seeds": list(seeds),
        "status": "diverged" if trained.diverged else "ok",
        "diverged": {str(seed): epoch for seed, epoch in trained.diverged.items()},
        "rows": len(trained.rows),
        "log_sha256": sha256_of_file(log_path),
        "data_sha256": sha256_of_file(data_path),
        "code": fingerprint(*NUMERIC_MODULES),
        "git": git_state(),
        "versions": versions("torch", "numpy"),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else os.uname().machine,
        "host": os.uname().nodename,
        "threads": threads,
        "training_seconds": trained.seconds,
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        # Linux counts ru_maxrss in KiB, macOS in bytes
        "peak_memory_mib": peak / (2**20 if sys.platform == "darwin" else 2**10),
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0,
    }
    write_json(manifest_path, manifest)
