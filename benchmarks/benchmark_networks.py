"""How fast networks of torch.func train: a stack of seeds against a loop over them, by kind, width and input.

    python benchmarks/benchmark_networks.py [--seeds N ...] [--repetitions N]

`FEWEST_STACKED` and `LARGEST_STACKED` of `altfreeze.training.networks.making` were read off its table. Both are timed
in turns on one thread, in seconds of the processor, and the fastest of each counts; *of best* is what the rule's choice
takes over the better of both.
"""

import argparse
import itertools
import time
from collections.abc import Sequence

import torch
from altfreeze.freezing.plan import Workload
from altfreeze.study.cell import Cell
from altfreeze.study.reading import study_of
from altfreeze.training.networks.making import largest_layer, make_network, workload_of_network

INPUTS = {"digits": {"kind": "digits"}, "series": {"kind": "mnist1d", "samples": 5000}, "table": {"kind": "wine"}}
FEATURES = {"digits": 64, "series": 40, "table": 13}
NETWORKS = [("cnn", "none"), ("cnn", "batch"), ("resnet", "batch"), ("transformer", "layer")]
CASES = [
    *itertools.product(("digits", "series"), NETWORKS, (16, 32, 64)),
    *itertools.product(("table",), [("resnet", "batch")], (64, 128, 256)),
]


def seconds_of_a_step(cell: Cell, workload: Workload, seeds: int, repetitions: int) -> tuple[list[float], str]:
    """Return the seconds of a step of a stack and of a loop over its members, and which the rule chooses."""
    rule = make_network(cell, workload, range(seeds), "cpu")
    networks = [make_network(cell, workload, range(seeds), "cpu") for _ in range(2)]
    for network, loop in zip(networks, (False, True), strict=True):
        network.loop = loop
    x = torch.randn(seeds, cell.batch_size, workload.sizes[0])
    targets = torch.randint(workload.sizes[-1], (seeds, cell.batch_size))
    fastest = [float("inf")] * 2
    for _, (which, network) in itertools.product(range(repetitions), enumerate(networks)):
        begin = time.process_time()
        network.compute_gradients(x, targets)
        fastest[which] = min(fastest[which], time.process_time() - begin)
    return fastest, "loop" if rule.loop else "stack"


def print_table(seeds: Sequence[int], repetitions: int) -> list[float]:
    """Print a row per network, width and number of seeds, and return what each choice takes over the better."""
    print("input   network            width  seeds  largest layer  stack ms  loop ms  loop/stack  rule   of best")
    ratios = []
    for (source, (network, normalisation), width), members in itertools.product(CASES, seeds):
        keys = {"datasets": [source], "sources": INPUTS, "network": network, "width": width}
        study = study_of(keys | {"normalisation": normalisation})
        cell = study.cell(source, study.primary_depth, "standard")
        workload = workload_of_network(cell, FEATURES[source], 10, 1000)
        (stack, loop), rule = seconds_of_a_step(cell, workload, members, repetitions)
        ratios.append({"stack": stack, "loop": loop}[rule] / min(stack, loop))
        largest = largest_layer(workload) / 2**10
        shown = f"{source:7} {f'{network} {normalisation}':18} {width:5}  {members:5}  {largest:10.0f} Ki"
        times = f"{1000 * stack:8.1f}  {1000 * loop:7.1f}  {loop / stack:10.2f}"
        print(f"{shown}  {times}  {rule:5}  {ratios[-1]:7.2f}", flush=True)
    return ratios


def main() -> None:
    """Print the table and how good the rule is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repetitions", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    ratios = print_table(given.seeds, given.repetitions)
    within = sum(ratio <= 1.1 for ratio in ratios)
    print(f"The rule is within 1.1 of the better in {within} of {len(ratios)} cases, at worst at {max(ratios):.2f}.")


if __name__ == "__main__":
    main()
