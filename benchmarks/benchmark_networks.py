"""How fast networks of torch.func train: a stack of seeds against a loop over them, by kind, width and input.

    python benchmarks/benchmark_networks.py [--seeds N] [--repetitions N]

`altfreeze.training.networks.making.LARGEST_STACKED` was read off its table: the operations of a member's forward pass
of a batch at which a loop becomes as fast. Both are timed in turns, and the fastest of each counts.
"""

import argparse
import itertools
import time

import torch
from altfreeze.freezing.plan import Workload
from altfreeze.study.reading import study_of
from altfreeze.training.networks import making
from altfreeze.training.networks.making import make_network, workload_of_network

INPUTS = {"digits": {"kind": "digits"}, "series": {"kind": "mnist1d", "samples": 5000}}
NETWORKS = [("cnn", "none"), ("cnn", "batch"), ("resnet", "batch"), ("transformer", "layer")]


def seconds_of_a_step(cell, workload: Workload, seeds: int, repetitions: int) -> tuple[float, float]:
    """Return the seconds of a step of a stack and of a loop over its members."""
    networks = []
    for limit in (2**62, 0):
        making.LARGEST_STACKED = limit
        networks.append(make_network(cell, workload, range(seeds), "cpu"))
    x = torch.randn(seeds, cell.batch_size, workload.sizes[0])
    targets = torch.randint(workload.sizes[-1], (seeds, cell.batch_size))
    fastest = [float("inf")] * 2
    for _ in range(repetitions):
        for which, network in enumerate(networks):
            begin = time.perf_counter()
            network.compute_gradients(x, targets)
            fastest[which] = min(fastest[which], time.perf_counter() - begin)
    return fastest[0], fastest[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    limit = making.LARGEST_STACKED
    print("input   network           width  forward of a batch  stack ms  loop ms  loop/stack  rule")
    for source, (network, normalisation), width in itertools.product(INPUTS, NETWORKS, (4, 16, 32, 64)):
        keys = {"datasets": [source], "sources": INPUTS, "network": network, "width": width}
        study = study_of(keys | {"normalisation": normalisation})
        cell = study.cell(source, study.primary_depth, "standard")
        workload = workload_of_network(cell, 64 if source == "digits" else 40, 10, 1000)
        forward = cell.batch_size * sum(layer.forward for layer in workload.layers)
        stack, loop = (1000 * each for each in seconds_of_a_step(cell, workload, given.seeds, given.repetitions))
        rule = "stack" if forward <= limit else "loop"
        shown = f"{source:7} {f'{network} {normalisation}':17} {width:5}  {forward / 2**20:14.1f} Mi"
        print(f"{shown}  {stack:8.1f}  {loop:7.1f}  {loop / stack:10.2f}  {rule}")


if __name__ == "__main__":
    main()
