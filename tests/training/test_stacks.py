"""Memory: stacks that do not fit are split, to the same runs, and one seed that does not fit is one line."""

import json
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
import torch
from altfreeze.freezing.flow import GradientFlow
from altfreeze.support.errors import InputError
from altfreeze.training import job
from altfreeze.training.network import StackedMLP
from altfreeze.training.stacks import split, train_seeds
from altfreeze.training.trainer import train_pack
from altfreeze.vocabulary import METRICS
from builders import cell_options, make_wine_study

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    MemoryError("Unable to allocate 4.00 GiB for an array with shape (1000, 1000)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


pytestmark = pytest.mark.usefixtures("one_thread")


def make_study(**keys):
    return make_wine_study(**({"freeze_ratios": [0.5], "learning_rate": 0.01, "weight_decay": 0} | keys))


def make_cell(**keys):
    return make_study(**keys).cell("wine", 4, "alternating-0.5")


@pytest.fixture
def room_for(monkeypatch):
    """Let memory run out in a step of a stack with more than some seeds."""
    # so that each step is seen
    monkeypatch.setattr("altfreeze.training.trainer.are_made_at_once", lambda *_: False)

    def limit(seeds, error=ERRORS[0], step=6):
        original, steps = StackedMLP.compute_gradients, []

        def compute_gradients(network, x, *arguments):
            steps.append(len(x))
            if len(x) > seeds and steps.count(len(x)) % step == 0:
                raise error
            return original(network, x, *arguments)

        monkeypatch.setattr(StackedMLP, "compute_gradients", compute_gradients)

    return limit


def assert_same_runs(found, expected):
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        for key, value in row.items():
            if "loss" in key:
                assert value == pytest.approx(other[key], rel=1e-5)
            elif key != "seconds":
                assert value == other[key], key


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
def test_a_stack_for_which_memory_runs_out_is_trained_in_halves(wine, room_for, capsys, error):
    seeds, flows = range(3, 13), [GradientFlow(), GradientFlow()]
    expected = train_pack(*wine, make_cell(), seeds, flow=flows[0])
    room_for(3, error)
    found = train_seeds(*wine, make_cell(), seeds, flow=flows[1])
    assert_same_runs(found.rows, expected.rows)
    assert found.stacks == [[3, 4], [5, 6, 7], [8, 9], [10, 11, 12]]
    assert found.too_large == [10, 5]
    for row, other in zip(flows[1].rows, flows[0].rows, strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-6, nan_ok=True)
    said = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[0] for line in said] == [
        f"wine, depth 4, alternating: {seeds} seeds do not fit into the host's memory" for seeds in (10, 5)
    ]


def test_the_seconds_of_stacks_add_up(wine, room_for):
    room_for(5)
    trained = train_seeds(*wine, make_cell(), range(10))
    seconds = [row["seconds"] for row in trained.rows]
    assert trained.stacks == [list(range(5)), list(range(5, 10))]
    assert seconds == sorted(seconds)
    assert all(len(set(seconds[start : start + 10])) == 1 for start in range(0, 40, 10))
    assert seconds[-1] == pytest.approx(trained.seconds)


def test_a_seed_that_does_not_fit_alone_is_refused(wine, room_for):
    room_for(0)
    with pytest.raises(InputError, match=r"^wine, depth 4, alternating: seed 7 alone does not fit .* allowed: "):
        train_seeds(*wine, make_cell(), [7, 8])


@pytest.mark.parametrize("error", [RuntimeError("a frozen layer changed"), ValueError("out of memory")])
def test_other_errors_are_not_taken_for_a_lack_of_memory(wine, room_for, error):
    room_for(0, error)
    with pytest.raises(type(error), match=str(error)):
        train_seeds(*wine, make_cell(), range(2))


def test_the_manifest_says_how_the_seeds_were_stacked(stored_wine, room_for, tmp_path):
    room_for(2)
    job.run(stored_wine, make_cell(), range(4), "cpu", 1, tmp_path / "a.csv", tmp_path / "a.json")
    manifest = json.loads((tmp_path / "a.json").read_text())
    assert manifest["stacks"] == ["0-1", "2-3"]
    assert manifest["too_large_stacks"] == [4]
    assert manifest["seeds"] == [0, 1, 2, 3]


def test_a_tuning_is_that_of_one_stack(stored_wine, room_for, tmp_path):
    found = []
    for name in ("whole", "split"):
        job.run_tuning(
            stored_wine, make_cell(), [0.01, 0.1], range(4), "cpu", 1, tmp_path / name, None, METRICS["accuracy"]
        )
        found.append(json.loads((tmp_path / name).read_text()))
        room_for(2)
    assert found[0]["learning_rate"] == found[1]["learning_rate"]
    for whole, parts in zip(*(record["trials"] for record in found), strict=True):
        assert whole == pytest.approx(parts, rel=1e-5)


def test_split_makes_the_fewest_stacks_of_nearly_equal_size():
    for seeds in range(1, 40):
        for largest in range(1, 45):
            stacks = split(range(seeds), largest)
            assert list(chain(*stacks)) == list(range(seeds))
            sizes = [len(stack) for stack in stacks]
            assert max(sizes) <= largest
            assert max(sizes) - min(sizes) <= 1
            assert (len(stacks) - 1) * largest < seeds


def is_linux():
    return sys.platform.startswith("linux")


def train_within(tmp_path, study, mebibytes=None, rows=4000):
    """Train 8 seeds by a process that may take some MiB beyond what it takes without training; return how it ended."""
    np.savez(tmp_path / "data.npz", X=np.random.default_rng(1).normal(size=(rows, 100)), y=np.arange(rows) % 3)
    options = cell_options(tmp_path, study, "alternating-0.5", tmp_path / "data.npz")
    options += ["--seeds", "0-7", "--output", tmp_path / "a.csv"]
    options += ["--manifest", tmp_path / "a.json"] + ([] if mebibytes is None else ["--memory", mebibytes])
    command = [sys.executable, "-m", "altfreeze", "train", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def idle_mebibytes():
    """MiB that a job takes before it trains."""
    program = """
import resource
from pathlib import Path
from altfreeze.training import job
job.torch.set_num_threads(1)
print(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20)
"""
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not is_linux(), reason="what a process takes is limited on Linux")
@pytest.mark.parametrize(("mebibytes", "fits"), [(150, True), (30, False)])
def test_memory_that_really_runs_out(tmp_path, idle_mebibytes, mebibytes, fits):
    study = make_study(width=400, batch_size=2000, epochs_alternating=2, freeze_period=2)
    done = train_within(tmp_path, study, idle_mebibytes + mebibytes)
    if fits:
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "a.json").read_text())["too_large_stacks"][0] == 8
        assert "8 seeds do not fit into the host's memory; trains halves" in done.stderr
    else:
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].startswith("altfreeze: wine, depth 4, alternating: seed 0 alone does not")
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "a.csv").exists()


@pytest.mark.skipif(not is_linux(), reason="what a process takes is limited on Linux")
def test_without_a_limit_one_stack_holds_all_seeds(tmp_path):
    done = train_within(tmp_path, make_study(width=400, batch_size=2000, epochs_alternating=1))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a.json").read_text())["too_large_stacks"] == []


@pytest.mark.parametrize("learning_rate", [0.003, 1e6])
def test_evaluated_after_the_last_epoch_alone_a_training_says_the_same_of_it(wine, learning_rate):
    cell = make_cell(learning_rate=learning_rate, optimizer="sgd")
    whole, last = train_seeds(*wine, cell, [0, 3]), train_seeds(*wine, cell, [0, 3], only_last=True)
    # NaN is not equal to itself, and its text is
    assert str([row | {"seconds": 0} for row in last.rows]) == str([row | {"seconds": 0} for row in whole.rows[-2:]])
    assert list(last.diverged) == list(whole.diverged)
