"""What the networks of a pack are shown: the parts of each seed's split, batch by batch or all rows at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from altfreeze.data.split import batch_order, split_of_seed, standardise
from altfreeze.freezing.plan import Workload
from altfreeze.study.cell import Cell
from altfreeze.training.network import StackedNetwork, layer_sizes
from altfreeze.training.networks.making import workload_of_network

# layers are computed for many rows at once in parts of about this many floats
CHUNK_FLOATS = 2**20

# the key of a run's split and batch order: study seed, data set, seed
Key = tuple[int, str, int]


class Parts(NamedTuple):
    """The three parts of each member's split, stacked.

    Each is a pair of features of shape (S, rows, features) and classes of shape (S, rows).
    """

    train: tuple[torch.Tensor, torch.Tensor]
    validation: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]


class Scores(NamedTuple):
    """What each member of a pack scores on a part, each of shape (S,).

    Attributes
    ----------
    loss : Tensor
        Mean cross-entropy over the rows (nat), the log loss.
    accuracy : Tensor
        Share of rows that are classified correctly.
    balanced_accuracy : Tensor
        Mean over the classes that occur of the share of a class's rows that are.
    """

    loss: torch.Tensor
    accuracy: torch.Tensor
    balanced_accuracy: torch.Tensor


def stack_parts(
    X: np.ndarray, y: np.ndarray, keys: Sequence[Key], device: torch.device, part: np.ndarray | None = None
) -> Parts:
    """Split a data set for each member of a pack, standardise it by the train part, and stack the parts.

    Parameters
    ----------
    X : ndarray of float64, shape (rows, features)
        Raw features; NaN where missing.
    y : ndarray of int64, shape (rows,)
        Classes, 0 .. classes - 1.
    keys : sequence of (int, str, int), length S
        Key of each member's run; see `altfreeze.data.split.split_of_seed`.
    device : torch.device
    part : ndarray of int8, shape (rows,), optional
        The split that the data set came with; see `altfreeze.data.split.split_of_seed`.

    Returns
    -------
    Parts
    """
    splits = [split_of_seed(y, *key, part) for key in keys]
    standardised = [standardise(X, split.train) for split in splits]

    def stacked(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        indices = [getattr(split, name) for split in splits]
        x = np.stack([features[rows] for features, rows in zip(standardised, indices, strict=True)])
        return torch.from_numpy(x).to(device), torch.from_numpy(y[np.stack(indices)]).to(device)

    return Parts(*map(stacked, Parts._fields))


def workload_of(X: np.ndarray, y: np.ndarray, cell: Cell, part: np.ndarray | None = None) -> Workload:
    """Return what the runs of a cell work on, which is the same for every seed.

    Parameters
    ----------
    X : ndarray, shape (rows, features)
    y : ndarray of int64, shape (rows,)
    cell : altfreeze.study.cell.Cell
    part : ndarray of int8, shape (rows,), optional
        The split that the data set came with; see `altfreeze.data.split.split_of_seed`.

    Returns
    -------
    altfreeze.freezing.plan.Workload
    """
    features, classes = X.shape[1], int(y.max()) + 1
    rows = len(split_of_seed(y, *cell.data_key(0), part).train)
    if cell.network != "mlp":
        return workload_of_network(cell, features, classes, rows)
    muon = cell.optimizer == "muon"
    return Workload(
        tuple(layer_sizes(features, cell.width, cell.depth, classes)), rows, cell.batch_size, orthogonalises=muon
    )


def draw_batches(
    keys: Sequence[Key], epoch: int, x: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the train part in the order in which an epoch visits it.

    Parameters
    ----------
    keys : sequence of (int, str, int), length S
        Key of each member's run; see `altfreeze.data.split.batch_order`.
    epoch : int
        Counted from 0.
    x : Tensor, shape (S, rows, features)
    targets : Tensor, shape (S, rows)

    Returns
    -------
    x : Tensor, shape (S, rows, features)
    targets : Tensor, shape (S, rows)
    """
    order = torch.from_numpy(np.stack([batch_order(*key, epoch, x.shape[1]) for key in keys])).to(x.device)
    members = torch.arange(len(keys), device=x.device).unsqueeze(1)
    return x[members, order], targets[members, order]


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the CPU on a device, without waiting until it is there."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _chunks(network: StackedNetwork, x: torch.Tensor) -> Sequence[torch.Tensor]:
    """Return x in parts along its rows that keep the widest layer's output small."""
    return x.split(max(1, CHUNK_FLOATS // (x.shape[0] * network.widest)), 1)


@torch.no_grad()
def fill(network: StackedNetwork, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Return the output of frozen layers for all rows of the train part.

    Parameters
    ----------
    network : altfreeze.training.network.StackedNetwork
    x : Tensor, shape (S, rows, inputs of layer `start`)
    start, stop : int
        See `altfreeze.training.network.StackedNetwork.hidden`.

    Returns
    -------
    Tensor, shape (S, rows, inputs of layer `stop`)
    """
    return torch.cat([network.hidden(part, start, stop) for part in _chunks(network, x)], 1)


@torch.no_grad()
def evaluate(network: StackedNetwork, x: torch.Tensor, targets: torch.Tensor) -> Scores:
    """Return what the members score on a part.

    Parameters
    ----------
    network : altfreeze.training.network.StackedNetwork
    x : Tensor, shape (S, rows, features)
    targets : Tensor of int64, shape (S, rows)

    Returns
    -------
    Scores
    """
    logits = torch.cat([network(part) for part in _chunks(network, x)], 1)
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    correct = (logits.argmax(-1) == targets).double()
    # by class; sums of ones are exact in any order
    rows, hits = torch.zeros(2, *logits[:, 0].shape, dtype=torch.float64, device=x.device)
    rows.scatter_add_(1, targets, torch.ones_like(correct))
    hits.scatter_add_(1, targets, correct)
    return Scores(losses.view(targets.shape).mean(1), correct.mean(1), (hits / rows).nanmean(1))
