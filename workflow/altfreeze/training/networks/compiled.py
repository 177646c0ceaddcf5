"""The steps of small networks on a CPU, compiled: one call for all those between two phases.

The products of a small network take a microsecond or two each, less than what surrounds a call of torch. Here a member
makes its whole step alone, with its numbers in the cache of one core, so its bits do not depend on its pack. Tensors
come as addresses of contiguous memory, which are looked up anew for each call. Loops stand where NumPy has a function:
with those, and the messages of their errors, all takes more than twice as long to compile.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import intrinsic

# wider layers are left to torch: their products take nearly all of a step
WIDEST = 128
# rows of a table of addresses, with a column for each parameter, a layer's weight before its bias; 0 for none
PARAMETER, GRADIENT, FIRST, SECOND, STEP = range(5)


def serves(parameters: Iterable[torch.Tensor]) -> bool:
    """Return whether steps with these parameters are better compiled than made by torch."""
    return all(
        each.device.type == "cpu" and each.dtype == torch.float32 and each.shape[-1] <= WIDEST and each.is_contiguous()
        for each in parameters
    )


def set_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Make room for the gradients of the parameters that learn."""
    for parameter in parameters:
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)


def addresses(parameters: Sequence[torch.Tensor], *states: Sequence[torch.Tensor | None]) -> np.ndarray:
    """Return the addresses of parameters, of their gradients and of more tensors of each, one array after the other."""
    columns = (parameters, [each.grad for each in parameters], *states)
    table = [[0 if each is None else each.data_ptr() for each in column] for column in columns]
    return np.array(table, dtype=np.int64)


def _compiled(function: Callable) -> Callable:
    """Compile a function at its first call; its code stays beside this file or in the user's cache."""
    try:
        return numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        # neither folder can be written to
        return numba.njit(error_model="numpy")(function)


def _generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


# typed as Any, as the decorator takes the context away
_intrinsic: Any = intrinsic


@_intrinsic
def _floats(context: Any, address: Any) -> Any:
    return types.CPointer(types.float32)(types.int64), _generate


@_intrinsic
def _integers(context: Any, address: Any) -> Any:
    return types.CPointer(types.int64)(types.int64), _generate


@_compiled
def _vector(address: int, member: int, size: int) -> Any:
    """Return a member's vector of those that lie one after the other at an address."""
    return numba.carray(_floats(address + 4 * member * size), (size,))


@_compiled
def _matrix(address: int, member: int, rows: int, columns: int) -> Any:
    """Return a member's matrix of those that lie one after the other at an address."""
    return numba.carray(_floats(address + 4 * member * rows * columns), (rows, columns))


@_compiled
def _row(memory: Any, index: int, rows: int, columns: int) -> Any:
    """Return the matrix at the beginning of a row of memory that the caller holds."""
    return _matrix(memory.ctypes.data + 4 * index * memory.shape[1], 0, rows, columns)


@_compiled
def _activate(out: Any, bias: Any, kept: int, scale: Any) -> None:
    """Add a bias, and apply ReLU and the mask of dropout, if there is one."""
    rows, units = out.shape
    for row in range(rows):
        for unit in range(units):
            value = out[row, unit] + bias[unit]
            out[row, unit] = np.float32(0) if value <= 0 else value
    if kept:
        mask = _matrix(kept, 0, rows, units)
        for row in range(rows):
            for unit in range(units):
                out[row, unit] *= mask[row, unit] * scale


@_compiled
def _loss(logits: Any, labels: Any, losses: Any) -> None:
    """Store the cross-entropy of each row, and make of the logits the gradient of its mean."""
    rows, classes = logits.shape
    share = np.float32(1) / np.float32(rows)
    for row in range(rows):
        # in loops, as slices of so few numbers cost more than what is computed with them
        largest, total = logits[row, 0], np.float32(0)
        for unit in range(1, classes):
            largest = max(largest, logits[row, unit])
        of_target = logits[row, labels[row]] - largest
        for unit in range(classes):
            logits[row, unit] = np.exp(logits[row, unit] - largest)
            total += logits[row, unit]
        losses[row] = np.log(total) - of_target
        for unit in range(classes):
            logits[row, unit] *= share / total
        logits[row, labels[row]] -= share


@_compiled
def _forward(
    tensors: Any, sizes: Any, member: int, start: int, x: Any, outputs: Any, masks: int, mask_step: int, scale: Any
) -> None:
    """Compute a member's layers into memory that is there, the logits last."""
    rows, depth = x.shape[0], len(sizes) - 1
    for index in range(start, depth):
        fan_in, fan_out = sizes[index], sizes[index + 1]
        out = _row(outputs, index, rows, fan_out)
        np.dot(x, _matrix(tensors[PARAMETER, 2 * index], member, fan_in, fan_out), out)
        bias = _vector(tensors[PARAMETER, 2 * index + 1], member, fan_out)
        if index < depth - 1:
            kept = masks + 4 * rows * fan_out * (member * mask_step + index) if masks else 0
            _activate(out, bias, kept, scale)
        else:
            for row in range(rows):
                for unit in range(fan_out):
                    out[row, unit] += bias[unit]
        x = out


@_compiled
def _backward(
    tensors: Any, sizes: Any, member: int, start: int, lowest: int, x: Any, outputs: Any, gradients: Any, scale: Any
) -> None:
    """Compute a member's gradients down to the lowest layer that learns, of those that do."""
    rows, depth = x.shape[0], len(sizes) - 1
    gradient = _row(outputs, depth - 1, rows, sizes[depth])
    for index in range(depth - 1, lowest - 1, -1):
        fan_in, fan_out = sizes[index], sizes[index + 1]
        of_weight, of_bias = tensors[GRADIENT, 2 * index], tensors[GRADIENT, 2 * index + 1]
        h = x if index == start else _row(outputs, index - 1, rows, fan_in)
        if of_weight:
            np.dot(h.T, gradient, _matrix(of_weight, member, fan_in, fan_out))
            total = _vector(of_bias, member, fan_out)
            total[:] = 0
            for row in range(rows):
                for unit in range(fan_out):
                    total[unit] += gradient[row, unit]
        if index > lowest:
            below = _row(gradients, index % 2, rows, fan_in)
            np.dot(gradient, _matrix(tensors[PARAMETER, 2 * index], member, fan_in, fan_out).T, below)
            # a unit that is zero was negative or dropped: either way nothing flows through it
            for row in range(rows):
                for unit in range(fan_in):
                    below[row, unit] = np.float32(0) if h[row, unit] <= 0 else below[row, unit] * scale
            gradient = below


@_compiled
def compute_gradients(
    tensors: Any,
    sizes: Any,
    start: int,
    x: int,
    x_step: int,
    targets: int,
    targets_step: int,
    masks: int,
    scale: float,
    losses: Any,
) -> None:
    """Set the gradients whose addresses are there, and the losses; see `StackedMLP.compute_gradients`.

    Parameters
    ----------
    tensors : ndarray of int64, shape (2, 2 depth)
        See `addresses`.
    sizes : ndarray of int64, shape (depth + 1,)
    start : int
        Layers below it, counted from 0, are not computed.
    x, x_step, targets, targets_step : int
        Address of the first member's rows or classes, and how many numbers further on those of the next are.
    masks : int
        Address of the dropout masks, 0 for none.
    scale : float
        Kept units are multiplied by it.
    losses : ndarray of float32, shape (S, rows)
    """
    members, rows = losses.shape
    depth, factor = len(sizes) - 1, np.float32(scale)
    lowest = widest = 0
    while not tensors[GRADIENT, 2 * lowest]:
        lowest += 1
    for index in range(1, depth + 1):
        widest = max(widest, sizes[index])
    outputs = np.empty((depth, rows * widest), np.float32)
    gradients = np.empty((2, rows * widest), np.float32)
    for member in range(members):
        features = _matrix(x + 4 * member * x_step, 0, rows, sizes[start])
        _forward(tensors, sizes, member, start, features, outputs, masks, depth - 1, factor)
        logits = _row(outputs, depth - 1, rows, sizes[depth])
        labels = numba.carray(_integers(targets + 8 * member * targets_step), (rows,))
        _loss(logits, labels, losses[member])
        _backward(tensors, sizes, member, start, lowest, features, outputs, gradients, factor)


@_compiled
def adam(
    tensors: Any, counts: Any, rates: Any, first: float, second: float, epsilon: float, decay: float, decoupled: bool
) -> None:
    """Make a step of Adam, or of AdamW where the weight decay is decoupled, with parameters that have a gradient."""
    one, b, eps, added = np.float32(1 - first), np.float32(second), np.float32(epsilon), np.float32(decay)
    for index in range(len(counts)):
        if not tensors[GRADIENT, index]:
            continue
        size = counts[index]
        parameter, gradient = _vector(tensors[PARAMETER, index], 0, size), _vector(tensors[GRADIENT, index], 0, size)
        mean, square = _vector(tensors[FIRST, index], 0, size), _vector(tensors[SECOND, index], 0, size)
        step = _vector(tensors[STEP, index], 0, 1)
        step[0] += 1
        rate = np.float32(rates[index] / (1 - first ** step[0]))
        correction = np.float32(np.sqrt(1 - second ** step[0]))
        kept = np.float32(1 - rates[index] * decay if decoupled else 1)
        for i in range(size):
            p = parameter[i] * kept
            g = gradient[i] if decoupled else gradient[i] + added * p
            mean[i] += one * (g - mean[i])
            square[i] = b * square[i] + (np.float32(1) - b) * g * g
            parameter[i] = p - rate * mean[i] / (np.sqrt(square[i]) / correction + eps)


@_compiled
def sgd(tensors: Any, counts: Any, rates: Any, momentum: float, decay: float) -> None:
    """Make a step of gradient descent, with momentum where it has an address, with parameters that have a gradient."""
    for index in range(len(counts)):
        if not tensors[GRADIENT, index]:
            continue
        size, rate = counts[index], np.float32(rates[index])
        parameter, gradient = _vector(tensors[PARAMETER, index], 0, size), _vector(tensors[GRADIENT, index], 0, size)
        for i in range(size):
            gradient_i = gradient[i] + np.float32(decay) * parameter[i]
            if momentum:
                buffer = _vector(tensors[FIRST, index], 0, size)
                buffer[i] = np.float32(momentum) * buffer[i] + gradient_i
                gradient_i = buffer[i]
            parameter[i] -= rate * gradient_i


@_compiled
def update(tensors: Any, counts: Any, rates: Any, options: Any) -> None:
    """Make a step of an optimizer.

    Parameters
    ----------
    tensors : ndarray of int64, shape (5 or fewer, parameters)
        See `addresses`.
    counts : ndarray of int64, shape (parameters,)
        Numbers of each.
    rates : ndarray of float64, shape (parameters,)
        Learning rates.
    options : ndarray of float64, shape (5,)
        What `adam` takes after the rates; with momentum and decay alone, after a negative number, what `sgd` takes.
    """
    if options[0] >= 0:
        adam(tensors, counts, rates, options[0], options[1], options[2], options[3], options[4] > 0)
    else:
        sgd(tensors, counts, rates, options[1], options[2])


@_compiled
def make_steps(
    tensors: Any,
    sizes: Any,
    start: int,
    x: int,
    x_step: int,
    targets: int,
    targets_step: int,
    counts: Any,
    rates: Any,
    options: Any,
    rows: Any,
    losses: Any,
) -> None:
    """Make steps without dropout on rows that lie one after the other: gradients and update of each.

    Parameters
    ----------
    tensors, counts, options
        See `update`; the parameters in the order of layers.
    sizes, start, x, x_step, targets, targets_step
        See `compute_gradients`.
    rates : ndarray of float64, shape (steps, parameters)
    rows : ndarray of int64, shape (steps,)
        In the batch of each step.
    losses : ndarray of float32, shape (S, rows of all steps)
        Set to the cross-entropy of each row.
    """
    done, members = 0, len(losses)
    # a literal would be a type of its own, for which all is compiled again
    no_masks = np.int64(0)
    for number in range(len(rows)):
        of_step = np.empty((members, rows[number]), np.float32)
        features, labels = x + 4 * done * sizes[start], targets + 8 * done
        compute_gradients(tensors, sizes, start, features, x_step, labels, targets_step, no_masks, 1.0, of_step)
        for member in range(members):
            for row in range(rows[number]):
                losses[member, done + row] = of_step[member, row]
        done += rows[number]
        update(tensors, counts, rates[number], options)
