"""Logs: their digits lose nothing, and those of several stacks are one."""

import csv
import io
import math

import numpy as np
from altfreeze.training.log import csv_text, join_flow, join_records, log_text
from altfreeze.training.trainer import train_pack
from builders import make_cell


def test_the_log_holds_float32_exactly(wine):
    trained = train_pack(*wine, make_cell(), range(2))
    text = log_text(trained.rows)
    assert text.splitlines()[0] == ",".join(trained.rows[0])
    for read, row in zip(csv.DictReader(io.StringIO(text)), trained.rows, strict=True):
        for column in ("train_loss", "validation_loss"):
            assert np.float32(read[column]) == np.float32(row[column])


def test_a_number_that_is_none_is_empty_and_whole_numbers_and_text_stay():
    text = csv_text(("seed", "loss", "active"), [(3, math.nan, "1-2 4"), (10**12, 1 / 3, "2"), (0, 2.0, "a,b")])
    assert text == 'seed,loss,active\n3,,1-2 4\n1000000000000,0.333333333,2\n0,2,"a,b"\n'


def test_the_records_of_stacks_are_those_of_one_pack_whose_seconds_add_up():
    def record(seed, epoch, seconds):
        return {"seed": seed, "epoch": epoch, "seconds": seconds}

    # of three epochs, the last of which is cut short, in a pack whose seeds are in no order
    stacks = [[5, 2], [9]]
    records = [
        [record(seed, epoch, epoch) for epoch in (1.0, 2.0, 2.5) for seed in stacks[0]],
        [record(9, epoch, 10 * epoch) for epoch in (1.0, 2.0, 2.5)],
    ]
    joined = join_records([5, 2, 9], stacks, records)
    assert joined == [record(seed, epoch, 11 * epoch) for epoch in (1.0, 2.0, 2.5) for seed in (5, 2, 9)]


def test_the_flow_of_stacks_is_that_of_one_pack():
    rows = [[(5, 1.0, 1, 0.5), (2, 1.0, 1, 0.25), (5, 1.0, 2, 1.5)], [(9, 1.0, 1, 2.5), (9, 1.0, 2, 3.5)]]
    expected = [(5, 1.0, 1, 0.5), (2, 1.0, 1, 0.25), (9, 1.0, 1, 2.5), (5, 1.0, 2, 1.5), (9, 1.0, 2, 3.5)]
    assert join_flow([5, 2, 9], rows) == expected
