"""The log of a pack: the digits of its numbers, and how stacks of seeds become one log."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV: NaN is empty, and 9 digits hold a float32 exactly.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of sequence
        Values in the order of `columns`.

    Returns
    -------
    str
        One line per row below the names of the columns.
    """

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.9g}"
        return str(value)

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(text, row) for row in rows)
    return file.getvalue()


def log_text(records: Sequence[dict[str, Any]]) -> str:
    """Return the log of a pack as CSV.

    Parameters
    ----------
    records : sequence of dict
        Not empty; their keys are the columns. See `altfreeze.training.trainer.train_pack`.

    Returns
    -------
    str
    """
    return csv_text(list(records[0]), (list(record.values()) for record in records))


def join_records(
    seeds: Sequence[int], stacks: Sequence[Sequence[int]], records: Sequence[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the records of stacks, trained one after the other, as those of one pack.

    Parameters
    ----------
    seeds : sequence of int
        Of the pack, in its order.
    stacks : sequence of sequence of int
        Seeds of each stack.
    records : sequence of list of dict
        Those of each stack.

    Returns
    -------
    list of dict
        By epoch and seed; ``seconds`` are those that all stacks took until the epoch.
    """
    elapsed: Counter[float] = Counter()
    for stack, its_records in zip(stacks, records, strict=True):
        for record in its_records[:: len(stack)]:
            elapsed[record["epoch"]] += record["seconds"]
    joined = [record | {"seconds": elapsed[record["epoch"]]} for record in chain(*records)]
    position = {seed: index for index, seed in enumerate(seeds)}
    return sorted(joined, key=lambda record: (record["epoch"], position[record["seed"]]))


def join_flow(seeds: Sequence[int], rows: Iterable[Sequence[Any]]) -> list[Any]:
    """Return the gradient flow of stacks as that of one pack.

    Parameters
    ----------
    seeds : sequence of int
        Of the pack, in its order.
    rows : sequence of list of tuple
        Those of each stack; see `altfreeze.freezing.flow.GradientFlow`.

    Returns
    -------
    list of tuple
        By epoch, layer and seed.
    """
    position = {seed: index for index, seed in enumerate(seeds)}
    return sorted(chain(*rows), key=lambda row: (row[1], row[2], position[row[0]]))
