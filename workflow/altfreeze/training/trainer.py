"""Train one pack: the seeds of one cell, stacked, with per-epoch records."""

import contextlib
import functools
import gc
import inspect
import math
import os
import sys
import time
from collections import Counter
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from altfreeze.data.dataset import read_dataset
from altfreeze.data.split import batch_order, split_of_seed, standardise
from altfreeze.freezing.flow import GradientFlow
from altfreeze.freezing.plan import Workload, layer_ranges
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_csv, write_json
from altfreeze.support.provenance import fingerprint, git_state, versions
from altfreeze.support.randomness import stream_seed
from altfreeze.training.checkpoints import Checkpoint
from altfreeze.training.memory import is_out_of_memory, largest_stack, needed, peak_memory, split
from altfreeze.training.network import StackedMLP, dropout_masks, layer_sizes

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
    "updates",
    "updates_mean",
    "updates_minimum",
    "seconds",
)
# layers are computed for many rows at once in parts of about this many floats
CHUNK_FLOATS = 2**20

# the decorators of torch's optimizers would load its compiler, which is not used and as slow to import as torch
for _method in vars(torch.optim.Optimizer).values():
    if hasattr(_method, "__wrapped__"):
        vars(_method.__wrapped__).setdefault("__dynamo_disable", _method.__wrapped__)


class TrainedSeeds(NamedTuple):
    """What `train_seeds` returns."""

    rows: list
    diverged: dict
    seconds: float
    workload: Workload
    stacks: list
    too_large: list
    resumed_at: list


class TrainedPack(NamedTuple):
    """What `train_pack` returns."""

    rows: list
    network: StackedMLP
    optimizer: torch.optim.Optimizer
    diverged: dict
    seconds: float
    workload: Workload


def make_optimizer(network, cell, by_layer=False):
    """Return the optimizer of a cell; it is made once and lives through all phases.

    Parameters
    ----------
    network : StackedMLP
    cell : altfreeze.study.cell.Cell
    by_layer : bool
        Whether each layer has a group of parameters, and so a learning rate, of its own.

    Returns
    -------
    torch.optim.Optimizer
        All of them act element by element, thus on each member of a stack alone.
    """
    parameters = network.parameters()
    if by_layer:
        parameters = [{"params": network.layer(index)} for index in range(network.depth)]
    common = {"lr": cell.learning_rate, "weight_decay": cell.weight_decay, "fused": True}
    if cell.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=cell.momentum, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[cell.optimizer](parameters, **common)


def learning_rate(cell, progress):
    """Return the learning rate after a share of the training.

    ``cosine`` decays over the strategy's own budget as lr (1 + cos(pi progress)) / 2
    (Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, equation 5 with a
    minimum of 0 and no restart). A strategy that anneals by its factors starts from the
    configured rate throughout.

    Parameters
    ----------
    cell : altfreeze.study.cell.Cell
    progress : float
        Share of the training's steps that were made, 0 to 1.

    Returns
    -------
    float
    """
    if cell.learning_rate_schedule == "constant" or STRATEGIES[cell.strategy["name"]].anneals:
        return cell.learning_rate
    return cell.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def _checksum(network, optimizer, active):
    """Return the bits of all frozen weights and of their optimizer state, summed, without waiting for the device."""
    tensors = []
    for index, learns in enumerate(active):
        for parameter in network.layer(index) if not learns else ():
            tensors += [parameter.detach(), *filter(torch.is_tensor, optimizer.state.get(parameter, {}).values())]
    # in pairs of numbers, which are words that are summed without a copy; in one sum, as it is one for each switch
    tensors.append(network.weights[0].new_zeros(sum(tensor.numel() for tensor in tensors) % 2))
    return torch.cat([tensor.reshape(-1) for tensor in tensors]).view(torch.int64).sum()


class PhaseSwitch:
    """Freeze and thaw the layers of a network, and check that frozen ones stayed as they were.

    Parameters
    ----------
    network : StackedMLP
    optimizer : torch.optim.Optimizer
    state_on_thaw : {'keep', 'reset', 'decay'}
        What happens to a layer's optimizer state when it thaws: nothing; it is forgotten;
        or it becomes what gradients of zero would have made of it meanwhile.
    """

    def __init__(self, network, optimizer, state_on_thaw):
        self.network = network
        self.optimizer = optimizer
        self.state_on_thaw = state_on_thaw
        self.active = (True,) * network.depth
        self.frozen_since = [0] * network.depth
        device = network.weights[0].device
        self.frozen_checksum = torch.zeros((), dtype=torch.int64, device=device)
        self.changed = torch.zeros((), dtype=torch.bool, device=device)

    def check(self):
        """Check that the frozen layers are what they were when they froze; `confirm` has the answer.

        Raises
        ------
        RuntimeError
            If a frozen parameter has a gradient.
        """
        for index, learns in enumerate(self.active):
            for parameter in self.network.layer(index):
                if parameter.requires_grad != learns or (not learns and parameter.grad is not None):
                    raise RuntimeError(f"layer {index + 1} is not {'active' if learns else 'frozen'} as scheduled")
        self.changed |= _checksum(self.network, self.optimizer, self.active) != self.frozen_checksum

    def confirm(self):
        """Wait for the device and say what the checks up to here found.

        Raises
        ------
        RuntimeError
            If a frozen parameter or its optimizer state changed.
        """
        if self.changed.item():
            raise RuntimeError("a frozen layer or its optimizer state changed during a phase")

    def to(self, active, step):
        """Begin a phase.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn, bottom first.
        step : int
            Steps made so far.
        """
        self.network.set_active(active)
        for index, (learns, learned) in enumerate(zip(active, self.active, strict=True)):
            if learned and not learns:
                self.frozen_since[index] = step
            for parameter in self.network.layer(index) if learns and not learned else ():
                if self.state_on_thaw == "reset":
                    self.optimizer.state.pop(parameter, None)
                elif self.state_on_thaw == "decay":
                    _decay(self.optimizer, parameter, step - self.frozen_since[index])
                if self.optimizer.defaults.get("momentum") and not self.optimizer.state.get(parameter):
                    # a fused step refuses momenta of which only some are there; the first one starts from zero
                    self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.active = active

    def remember(self, active):
        """Note what the layers are that are frozen in the phase to come, for the next `check`.

        Parameters
        ----------
        active : sequence of bool, length depth
            Which layers learn in it; the change `to` it leaves all others as they are.
        """
        self.frozen_checksum = _checksum(self.network, self.optimizer, active)

    def state_dict(self):
        """Return what a later switch depends on, for `load_state_dict`: dict."""
        return {name: getattr(self, name) for name in ("active", "frozen_since", "frozen_checksum", "changed")}

    def load_state_dict(self, state):
        """Go on from what `state_dict` returned; network and optimizer are as they were then.

        Parameters
        ----------
        state : dict
        """
        self.active, self.frozen_since = state["active"], state["frozen_since"]
        self.frozen_checksum.copy_(state["frozen_checksum"])
        self.changed.copy_(state["changed"])
        self.network.set_active(self.active)


@torch.no_grad()
def _decay(optimizer, parameter, steps):
    """Bring a parameter's optimizer state to where some steps with a gradient of zero would have."""
    state = optimizer.state.get(parameter, {})
    if "momentum_buffer" in state:
        state["momentum_buffer"].mul_(optimizer.defaults["momentum"] ** steps)
    if "exp_avg" in state:
        first, second = optimizer.defaults["betas"]
        state["exp_avg"].mul_(first**steps)
        state["exp_avg_sq"].mul_(second**steps)
        state["step"].add_(steps)


class Clock:
    """Seconds of training: what runs between `start` and `stop`, summed."""

    def __init__(self, device):
        self.wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.seconds = 0.0

    def start(self, wait=True):
        """Let the clock run, once the device has finished what it does before, if `wait`."""
        if wait:
            self.wait()
        self.started = time.perf_counter()

    def stop(self, wait=True):
        """Stop the clock, once the device has finished, if `wait`."""
        if wait:
            self.wait()
        self.seconds += time.perf_counter() - self.started

    @contextlib.contextmanager
    def paused(self, wait=True):
        """Keep what runs inside off the clock.

        Parameters
        ----------
        wait : bool
            Whether to wait for the device before and after. Without, its queue stays filled,
            and only the host's part of what runs inside is off the clock.
        """
        self.stop(wait)
        yield
        self.start(wait)


def _member_losses(logits, targets):
    """Return the cross-entropy of each row: (S, batch) from (S, batch, classes) and (S, batch)."""
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape)


def _chunks(network, x):
    """Return x in parts along its rows that keep the widest layer's output small."""
    widest = max(weight.shape[2] for weight in network.weights)
    return x.split(max(1, CHUNK_FLOATS // (x.shape[0] * widest)), 1)


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
    logits = torch.cat([network(part) for part in _chunks(network, x)], 1)
    return _member_losses(logits, targets), logits.argmax(-1) == targets


@torch.no_grad()
def fill(network, x, start, stop):
    """Return the output of frozen layers for all rows of the train part.

    Parameters
    ----------
    network : StackedMLP
    x : Tensor, shape (S, rows, inputs of layer `start`)
    start, stop : int
        See `altfreeze.training.network.StackedMLP.hidden`.

    Returns
    -------
    Tensor, shape (S, rows, inputs of layer `stop`)
    """
    return torch.cat([network.hidden(part, start, stop) for part in _chunks(network, x)], 1)


def _cache_before(network, x, epochs, number):
    """Return what the cache holds before an epoch that goes on with it: filled again, fill by fill."""
    epoch = epochs[number]
    # an epoch that fills from the features on needs nothing of what was there
    if not (epoch.fill[0] if epoch.fill else epoch.cached):
        return x
    fills = []
    for earlier in epochs[:number]:
        if earlier.fill:
            fills = [*fills, earlier.fill] if earlier.fill[0] else [earlier.fill]
    for start, stop in fills:
        x = fill(network, x, start, stop)
    return x


def to_device(tensor, device):
    """Return a tensor of the CPU on a device, without waiting until it is there."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def draw_batches(keys, epoch, x, targets):
    """Return the train part in the order in which an epoch visits it.

    Parameters
    ----------
    keys : sequence of (int, str, int, int), length S
        Key of each member's run; see `altfreeze.data.batch_order`.
    epoch : int
        Counted from 0.
    x : Tensor, shape (S, rows, features)
    targets : Tensor, shape (S, rows)

    Returns
    -------
    x : Tensor, shape (S, rows, features)
    targets : Tensor, shape (S, rows)
    """
    order = np.stack([batch_order(*key, epoch, x.shape[1]) for key in keys])
    order = torch.from_numpy(order).to(x.device)
    members = torch.arange(len(keys), device=x.device).unsqueeze(1)
    return x[members, order], targets[members, order]


def workload_of(X, y, cell):
    """Return what the runs of a cell work on, which is the same for every seed.

    Parameters
    ----------
    X : ndarray, shape (rows, features)
    y : ndarray of int64, shape (rows,)
    cell : altfreeze.study.cell.Cell

    Returns
    -------
    altfreeze.freezing.plan.Workload
    """
    sizes = layer_sizes(X.shape[1], cell.width, cell.depth, int(y.max()) + 1)
    split = split_of_seed(y, cell.study_seed, cell.dataset, cell.depth, 0)
    return Workload(tuple(sizes), len(split.train), cell.batch_size)


def train_pack(X, y, cell, seeds, device="cpu", progress=None, flow=None, state=None, save=None):
    """Train the seeds of one cell together.

    Each seed has a split, initial weights, batches, dropout masks, gradients and
    updates of its own, all of them independent of the strategy and of the other
    seeds of the pack (`altfreeze.support.randomness`). The loss that is differentiated is the
    sum over seeds of each seed's mean over its batch.

    Parameters
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features; NaN where missing.
    y : ndarray of int64, shape (rows,)
        Classes, 0 .. classes - 1.
    cell : altfreeze.study.cell.Cell
    seeds : sequence of int, length S
    device : str
        ``cpu`` or ``cuda``.
    progress : callable, optional
        Called after each epoch with that epoch's rows, its number from 1 and the number of epochs.
    flow : altfreeze.freezing.flow.GradientFlow, optional
        Observes each layer's gradients and updates, off the clock.
    state : dict, optional
        What `save` was given in a training of the same arguments: it goes on from there, to
        the same bits as an undisturbed one.
    save : callable, optional
        Called after each epoch but the last, off the clock, with its number from 1 and a
        function that returns the state: of tensors, which training goes on to change, and
        plain values.

    Returns
    -------
    TrainedPack
        ``rows``: one dict per epoch and seed with the keys `LOG_COLUMNS`. ``epoch`` is the
        number of epochs made so far, not whole at the end where the strategy's budget ends
        within one. ``train_loss`` is the mean over the epoch's rows, each at the weights
        its batch met; ``flops`` (cost model) and updates are cumulative and of one
        network; ``updates`` are those of each layer, bottom first, ``updates_mean`` their
        mean over parameters and ``updates_minimum`` the fewest of a layer;
        ``learning_rate`` is the highest of a layer in the last step; ``seconds`` are
        cumulative, of the whole pack, without evaluation. ``diverged``: seed to the first
        epoch whose loss was not finite; from then on its losses and accuracies are NaN.
        ``network`` and ``optimizer`` as they are at the end, ``seconds`` of training,
        ``workload`` of a run.

    Raises
    ------
    RuntimeError
        If a frozen layer changed (a defect of this program or of its libraries).
    """
    device = torch.device(device)
    depth, keys = cell.depth, [cell.run_key(seed) for seed in seeds]
    splits = [split_of_seed(y, *key) for key in keys]
    standardised = [standardise(X, split.train) for split in splits]

    def stacked(part):
        indices = [getattr(split, part) for split in splits]
        x = np.stack([features[rows] for features, rows in zip(standardised, indices, strict=True)])
        return torch.from_numpy(x).to(device), torch.from_numpy(y[np.stack(indices)]).to(device)

    x_train, y_train = stacked("train")
    validation, test = stacked("validation"), stacked("test")
    workload = workload_of(X, y, cell)
    epochs = cell.plan(workload)
    weight_seeds = [stream_seed(*key, "initial weights") for key in keys]
    network = StackedMLP(workload.sizes, weight_seeds, cell.dropout).to(device)
    generators = [torch.Generator().manual_seed(stream_seed(*key, "dropout")) for key in keys]
    optimizer = make_optimizer(network, cell, epochs[0].by_layer)
    switch = PhaseSwitch(network, optimizer, cell.state_on_thaw)
    step_optimizer = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    clock = Clock(device)
    parameter_counts = [sum(parameter[0].numel() for parameter in network.layer(index)) for index in range(depth)]
    flops, steps, updates = 0, 0, [0] * depth
    diverged, records, cache = {}, [], x_train
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        switch.load_state_dict(state["switch"])
        for generator, its_state in zip(generators, state["generators"], strict=True):
            generator.set_state(its_state)
        flops, steps, updates, clock.seconds = (state[name] for name in ("flops", "steps", "updates", "seconds"))
        diverged, records = state["diverged"], state["records"]
        cache = _cache_before(network, x_train, epochs, state["epoch"])
    if flow is not None:
        flow.begin(network)
        if state is not None:
            flow.load_state_dict(state["flow"])

    def state_now():
        return {
            "epoch": number + 1,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "switch": switch.state_dict(),
            "generators": [generator.get_state() for generator in generators],
            "flow": None if flow is None else flow.state_dict(),
            "flops": flops,
            "steps": steps,
            "updates": updates,
            "seconds": clock.seconds,
            "diverged": diverged,
            "records": records,
        }

    for number, epoch in islice(enumerate(epochs), state["epoch"] if state else 0, None):
        clock.start()
        if epoch.fill:
            start, stop = epoch.fill
            cache = fill(network, cache if start else x_train, start, stop)
        x_epoch, y_epoch = draw_batches(keys, number, cache if epoch.cached else x_train, y_train)
        loss_sum = torch.zeros(len(seeds), device=device)
        first = 0
        for step in epoch.steps:
            if step.active != switch.active:
                # the check is a few small kernels: not worth an empty queue at every step
                with clock.paused(wait=flow is not None):
                    switch.check()
                    switch.remember(step.active)
                    if flow is not None:
                        flow.switch(step.active, steps)
                switch.to(step.active, steps)
            rate = learning_rate(cell, step.progress)
            for group, factor in zip(optimizer.param_groups, step.factors if epoch.by_layer else (1,), strict=True):
                group["lr"] = rate * factor
            x, targets = x_epoch[:, first : first + step.rows], y_epoch[:, first : first + step.rows]
            first += step.rows
            keep = None
            if cell.dropout:
                keep = to_device(dropout_masks(generators, cell.dropout, depth, step.rows, cell.width), device)
            loss_sum += network.compute_gradients(x, targets, keep, epoch.cached).sum(1)
            step_optimizer(optimizer)
            steps += 1
        clock.stop()
        switch.confirm()
        if flow is not None:
            flow.end_epoch(steps / len(workload.batches), steps, seeds)
        flops += epoch.flops(workload)
        updates = [sum(counts) for counts in zip(updates, epoch.updates(), strict=True)]

        train_loss = (loss_sum / first).tolist()
        losses, correct = evaluate(network, *validation)
        validation_loss = losses.mean(1).tolist()
        validation_accuracy = correct.double().mean(1).tolist()
        test_accuracy = evaluate(network, *test)[1].double().mean(1).tolist()
        made = steps / len(workload.batches)
        counted = (
            layer_ranges(epoch.updates()),
            rate * max(step.factors),
            flops,
            " ".join(map(str, updates)),
            float(np.average(updates, weights=parameter_counts)),
            min(updates),
            clock.seconds,
        )
        for index, seed in enumerate(seeds):
            if not (math.isfinite(train_loss[index]) and math.isfinite(validation_loss[index])):
                diverged.setdefault(seed, made)
            measured = (train_loss, validation_loss, validation_accuracy, test_accuracy)
            values = [math.nan if seed in diverged else value[index] for value in measured]
            status = "diverged" if seed in diverged else "ok"
            record = (seed, made, status, *values, *counted)
            records.append(dict(zip(LOG_COLUMNS, record, strict=True)))
        if progress is not None:
            progress(records[-len(seeds) :], number + 1, len(epochs))
        if save is not None and number + 1 < len(epochs):
            save(number + 1, state_now)
    switch.check()
    switch.confirm()
    return TrainedPack(records, network, optimizer, diverged, clock.seconds, workload)


def train_seeds(X, y, cell, seeds, device="cpu", memory=None, progress=None, flow=None, checkpoint=None):
    """Train the seeds of one cell in as few stacks as fit into the memory, one after the other.

    A stack for which memory runs out all the same is trained in halves, and so are those
    after it.

    Parameters
    ----------
    X, y, cell, seeds, device
        See `train_pack`.
    memory : int, optional
        Bytes of the host's memory that this process may take in all.
    progress : callable, optional
        ``progress(seeds)`` to what `train_pack` calls for a stack of these seeds.
    flow : altfreeze.freezing.flow.GradientFlow, optional
        Gets the rows of all stacks.
    checkpoint : altfreeze.training.checkpoints.Checkpoint, optional
        Where the training goes on from and its state is kept.

    Returns
    -------
    TrainedSeeds
        ``rows``, ``diverged``, ``seconds`` and ``workload`` as of one pack of all seeds;
        the seconds are those of all stacks. ``stacks``: the seeds of each, in order.
        ``too_large``: the number of seeds of each stack that did not fit. ``resumed_at``:
        the epochs after which the training of a stack went on from a checkpoint.

    Raises
    ------
    InputError
        If the memory does not hold a single seed.
    """
    checkpoint = checkpoint or Checkpoint()
    workload = workload_of(X, y, cell)
    job = checkpoint.load()
    if job is None:
        seed = needed(cell, workload, len(y), flow is not None)
        pending = split(seeds, largest_stack(seed, device, memory))
        job = {"pending": pending, "trained": [], "too_large": [], "resumed_at": [], "running": None}
    else:
        job["resumed_at"].append(job["running"]["epoch"] if job["running"] else 0)
        stack = job["pending"][0]
        where = f"after epoch {job['resumed_at'][-1]} of seeds {stack[0]}-{stack[-1]}"
        print(f"checkpoint {checkpoint.path} found; training goes on {where}", file=sys.stderr)

    def save(epoch, state_now):
        if checkpoint.every and epoch % checkpoint.every == 0:
            checkpoint.save(job | {"running": state_now()})

    while job["pending"]:
        stack, observed = job["pending"][0], None if flow is None else GradientFlow()
        show = progress and progress(stack)
        try:
            trained = train_pack(X, y, cell, stack, device, show, observed, job["running"], save)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            trained, reason = None, " ".join(str(error).split())[:200]
        job["running"] = None
        if trained is None:
            # what the stack took is free again only after its exception is gone
            gc.collect()
            torch.cuda.empty_cache()
            job["too_large"].append(len(stack))
            _say_too_large(cell, stack, device, reason)
            job["pending"] = split(list(chain(*job["pending"])), (len(stack) + 1) // 2)
            continue
        flow_rows = [] if observed is None else observed.rows
        job["trained"].append((stack, trained.rows, trained.diverged, trained.seconds, flow_rows))
        del trained
        job["pending"] = job["pending"][1:]
        if checkpoint.every and job["pending"]:
            checkpoint.save(job)

    stacks, rows, diverged, seconds, flow_rows = map(list, zip(*job["trained"], strict=True))
    position = {seed: index for index, seed in enumerate(seeds)}
    # until each epoch, of all stacks
    elapsed = Counter()
    for stack, its_rows in zip(stacks, rows, strict=True):
        for row in its_rows[:: len(stack)]:
            elapsed[row["epoch"]] += row["seconds"]
    rows = [row | {"seconds": elapsed[row["epoch"]]} for row in chain(*rows)]
    rows.sort(key=lambda row: (row["epoch"], position[row["seed"]]))
    if flow is not None:
        flow.rows = sorted(chain(*flow_rows), key=lambda row: (row[1], row[2], position[row[0]]))
    diverged = dict(chain(*(each.items() for each in diverged)))
    return TrainedSeeds(rows, diverged, sum(seconds), workload, stacks, job["too_large"], job["resumed_at"])


def _say_too_large(cell, stack, device, reason):
    """Say that a stack does not fit into the memory, and refuse a single seed that does not."""
    where = f"{cell.dataset}, depth {cell.depth}, {cell.strategy['name']}"
    memory = "the host's memory" if device == "cpu" else "the GPU's memory"
    if len(stack) == 1:
        raise InputError(
            f"{where}: seed {stack[0]} alone does not fit into {memory}; "
            f"allowed: a smaller width, batch_size or data set, or more memory ({reason})"
        )
    print(f"{where}: {len(stack)} seeds do not fit into {memory}; trains halves ({reason})", file=sys.stderr)


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
    name = cell.strategy["name"]
    title = f"{cell.dataset} depth {cell.depth} {name} {cell.strategy.get('freeze_ratio', '')}".strip()
    bar = tqdm(desc=title, unit="epoch", disable=not sys.stderr.isatty())

    def progress(rows, number, epochs):
        bar.total = epochs
        accuracies = [row["validation_accuracy"] for row in rows if row["status"] == "ok"]
        accuracy = f"median validation accuracy {np.median(accuracies):.3f}" if accuracies else "all diverged"
        bar.set_postfix_str(accuracy, refresh=False)
        # a training that is resumed begins above 1
        bar.update(number - bar.n)
        if bar.disable and (number % max(1, epochs // 10) == 0 or number == epochs):
            seconds = f"{rows[0]['seconds']:.2f} s of training"
            print(
                f"{title}: epoch {number}/{epochs}, {accuracy}, {len(accuracies)} of {len(seeds)} seeds ok, {seconds}",
                file=sys.stderr,
            )
        if number == epochs:
            bar.close()

    return progress


def prepare(device, threads):
    """Set torch up for training in a process of its own.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.

    Returns
    -------
    str
        ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        If the device is not there.
    """
    device = choose_device(device)
    torch.set_num_threads(threads)
    # the decayed momenta of dead units are subnormal, and would slow a step down many times
    torch.set_flush_denormal(True)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    return device


def run(
    data_path,
    cell,
    seeds,
    device,
    threads,
    log_path,
    manifest_path,
    flow_path=None,
    checkpoint_path=None,
    checkpoint_every=0,
    memory=None,
    attempt=1,
):
    """Train one pack from a stored data set and write its log and then its manifest.

    Parameters
    ----------
    data_path : path
        The npz of the data set; see `altfreeze.data.dataset.save_dataset`.
    cell : altfreeze.study.cell.Cell
    seeds : sequence of int
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Threads that torch computes with.
    log_path, manifest_path : path
        Outputs. The manifest is written last: where it stands, the log is whole.
    flow_path : path, optional
        CSV to write each layer's gradient flow to; without it, it is not observed.
    checkpoint_path : path, optional
        Where the state of the training is kept while it runs; a job that was killed goes
        on from there. It is removed after the manifest is written.
    checkpoint_every : int
        Epochs between two checkpoints; 0 for none.
    memory : int, optional
        MiB of the host's memory that this process may take in all.
    attempt : int
        Which start of the job in the call of the workflow this is, for the manifest.

    Raises
    ------
    InputError
        If the device is not there, the data cannot be read or the memory does not hold
        a single seed.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    device = prepare(device, threads)
    X, y = read_dataset(data_path)
    flow = GradientFlow() if flow_path else None
    job = {
        "cell": cell.as_dict(),
        "seeds": list(seeds),
        "gradient_flow": flow is not None,
        "data_sha256": sha256_of_file(data_path),
        "code": fingerprint("altfreeze.training.trainer"),
        "versions": versions("torch", "numpy"),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else os.uname().machine,
        "threads": threads,
    }
    checkpoint = Checkpoint(checkpoint_path, checkpoint_every, job)
    progress = functools.partial(_show_progress, cell)
    trained = train_seeds(X, y, cell, seeds, device, memory and memory * 2**20, progress, flow, checkpoint)
    if flow_path:
        flow.write(flow_path)
    write_csv(log_path, LOG_COLUMNS, ([row[column] for column in LOG_COLUMNS] for row in trained.rows))
    manifest = {
        **{name: job[name] for name in job if name != "gradient_flow"},
        "status": "diverged" if trained.diverged else "ok",
        "diverged": {str(seed): epoch for seed, epoch in trained.diverged.items()},
        "rows": len(trained.rows),
        "workload": trained.workload._asdict(),
        "log_sha256": sha256_of_file(log_path),
        "flow_sha256": sha256_of_file(flow_path) if flow_path else None,
        "code": fingerprint("altfreeze.training.trainer"),
        "git": git_state(),
        "host": os.uname().nodename,
        "stacks": [f"{stack[0]}-{stack[-1]}" for stack in trained.stacks],
        "too_large_stacks": trained.too_large,
        "attempt": attempt,
        "resumed_at_epochs": trained.resumed_at,
        "training_seconds": trained.seconds,
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_memory_mib": peak_memory() / 2**20,
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0,
    }
    write_json(manifest_path, manifest)
    checkpoint.remove()
