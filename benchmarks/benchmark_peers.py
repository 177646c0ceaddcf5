"""Measure the training step beside its peers, in one run, and print one table.

Every contender trains the same networks on as many rows, with Adam, on one core. All of a
column are timed in turn, so that other load on the machine meets them alike; a ratio is the
median of the rounds' ratios. Compilation is not timed. Called as
``python benchmarks/benchmark_peers.py``; JAX is left out where it is not installed
(``requirements-bench.txt``).
"""

import functools
import itertools
import os
import time

# one core, for XLA's threads too
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import benchmark_training as training
import numpy as np
import torch
from altfreeze.training.network import StackedMLP
from sklearn.datasets import load_digits
from torch import nn

try:
    import jax
    from jax import numpy as jnp
except ImportError as error:
    jax, reason = None, f"left out: {error}; pip install -r requirements-bench.txt"

DEPTH = 6
# batch, members, width, epochs of a measurement, rounds
COLUMNS = ((32, 10, 64, 4, 11), (64, 10, 64, 4, 11), (32, 1, 64, 10, 11), (32, 10, 512, 1, 3))


def random_data(rows, sizes, members):
    """Return random features and classes of each member."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(members, rows, sizes[0])).astype(np.float32)
    return x, generator.integers(sizes[-1], size=(members, rows))


def orders(generator, rows, members):
    """Return an order of the rows for each member."""
    return np.stack([generator.permutation(rows) for _ in range(members)])


def jax_loss(parameters, x, targets):
    """Return the mean cross-entropy of one member."""
    for weight, bias in parameters[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = parameters[-1]
    return -jnp.take_along_axis(jax.nn.log_softmax(x @ weight + bias), targets[:, None], 1).mean()


def jax_step(state, batch):
    """Make one step of Adam with one member."""
    parameters, first, second, count = state
    loss, gradient = jax.value_and_grad(jax_loss)(parameters, *batch)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    rate, correction = training.LEARNING_RATE / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) / correction + 1e-8), parameters, first, second
    )
    return (parameters, first, second, count), loss


def jax_epoch(batch, state, x, targets, order):
    """Make all steps of an epoch with one member."""
    x, targets = x[order], targets[order]
    whole = len(x) // batch * batch
    batches = x[:whole].reshape(-1, batch, x.shape[1]), targets[:whole].reshape(-1, batch)
    state, losses = jax.lax.scan(jax_step, state, batches)
    if whole < len(x):
        state, _ = jax_step(state, (x[whole:], targets[whole:]))
    return state, losses.sum()


def jax_contender(form, rows, sizes, members, batch, epochs):
    """Return a function that trains with JAX, members side by side or one after the other, and returns its seconds."""
    network = StackedMLP(sizes, range(members))
    layers = [network.layer(index) for index in range(network.depth)]
    parameters = [(jnp.array(w.detach().numpy()), jnp.array(b.detach().numpy()[:, 0])) for w, b in layers]
    moments = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    state = (parameters, *moments, jnp.zeros(members))
    x, targets = map(jnp.asarray, random_data(rows, sizes, members))
    one = functools.partial(jax_epoch, batch)
    every = jax.vmap(one) if form == "vmap" else lambda *stacked: jax.lax.map(lambda each: one(*each), stacked)
    compiled, generator = jax.jit(every, donate_argnums=0), np.random.default_rng(1)

    def run():
        nonlocal state
        start = time.perf_counter()
        for _ in range(epochs):
            state, _ = compiled(state, x, targets, orders(generator, rows, members))
        jax.block_until_ready(state)
        return (time.perf_counter() - start) / members / epochs

    return run


def torch_func_contender(rows, sizes, members, batch, epochs):
    """Return a function that trains with vmap over functional_call and torch's own Adam."""
    network = StackedMLP(sizes, range(members))
    models = [network.member(index) for index in range(members)]
    parameters, _ = torch.func.stack_module_state(models)
    optimizer = torch.optim.Adam(parameters.values(), lr=training.LEARNING_RATE, fused=True)

    def loss(of_member, x, targets):
        return nn.functional.cross_entropy(torch.func.functional_call(models[0], of_member, (x,)), targets)

    x, targets = map(torch.from_numpy, random_data(rows, sizes, members))
    generator, places = np.random.default_rng(1), torch.arange(members).unsqueeze(1)

    def run():
        start = time.perf_counter()
        for _ in range(epochs):
            order = torch.from_numpy(orders(generator, rows, members))
            for first in range(0, rows, batch):
                chosen = places, order[:, first : first + batch]
                optimizer.zero_grad()
                torch.func.vmap(loss)(parameters, x[chosen], targets[chosen]).sum().backward()
                optimizer.step()
        return (time.perf_counter() - start) / members / epochs

    return run


def loop_seconds(x, targets, sizes, batch, epochs):
    """Return the seconds per epoch of one ordinary network whose batches are slices."""
    layers = [layer for shape in itertools.pairwise(sizes) for layer in (nn.Linear(*shape), nn.ReLU())]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=training.LEARNING_RATE)
    x, targets = torch.from_numpy(x), torch.from_numpy(targets)
    start = time.perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for chosen in order.split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), targets[chosen]).backward()
            optimizer.step()
    return (time.perf_counter() - start) / epochs


def contenders(X, y, batch, members, width, epochs):
    """Return what trains, by its name: functions that return seconds per run and epoch."""
    training.BATCH_SIZE = batch
    cell = training.training_cell("digits", DEPTH, width, epochs, batch_size=batch)
    train = training.split_of_seed(y, cell.study_seed, "digits", 0).train
    x, targets = training.standardise(X, train)[train], y[train]
    sizes = training.layer_sizes(X.shape[1], width, DEPTH, int(y.max()) + 1)
    shape = len(train), sizes, members, batch, epochs
    made = {
        "altfreeze": lambda: training.time_stacked(X, y, cell, members),
        "bare products (torch.bmm)": lambda: training.time_products(len(train), sizes, epochs, members),
    }
    if jax is not None:
        made["JAX vmap + scan + jit"] = jax_contender("vmap", *shape)
        made["JAX map + scan + jit"] = jax_contender("map", *shape)
    few = max(1, epochs // 4)
    return made | {
        "torch.func vmap": torch_func_contender(*shape),
        "loop": lambda: loop_seconds(x, targets, sizes, batch, few),
        "loop + DataLoader": lambda: training.time_notebook(x, targets, sizes, few),
        "scikit-learn": lambda: training.time_scikit_learn(x, targets, sizes, few),
    }


def main():
    """Measure every column and print milliseconds and ratios."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    digits = load_digits()
    columns = []
    for batch, members, width, epochs, rounds in COLUMNS:
        made = contenders(digits.data, digits.target, batch, members, width, epochs)
        training.interleave(made, 1)
        columns.append(training.interleave(made, rounds))
    rows = []
    for name in columns[0]:
        texts = []
        for seconds in columns:
            ratio = np.median(seconds[name] / seconds["altfreeze"])
            texts.append(f"{np.median(seconds[name]) * 1000:.3g} (×{ratio:.2f})")
        rows.append([name, *texts])
    header = [f"batch {batch}, S={members}, width {width}" for batch, members, width, *_ in COLUMNS]
    print(training.machine() + (f", jax {jax.__version__}" if jax else f"\nJAX {reason}"))
    training.print_table(
        f"Milliseconds per run and epoch, digits, depth {DEPTH}, Adam: median, and the median of the rounds' ratios\n"
        "to altfreeze (above 1: altfreeze is faster).",
        ["", *header],
        rows,
    )


if __name__ == "__main__":
    main()
