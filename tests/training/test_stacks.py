"""Memory: stacks that do not fit are split, to the same runs, and one seed that does not fit is one line."""

import json
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
import torch
from altfreeze.freezing.flow import GradientFlow
from altfreeze.study import grid as config
from altfreeze.support.errors import InputError
from altfreeze.training import memory, train_pack, train_seeds, tuning, workload_of
from altfreeze.training import trainer as training

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    MemoryError("Unable to allocate 4.00 GiB for an array with shape (1000, 1000)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.fixture(autouse=True)
def as_a_job_leaves_it():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def make_cell(**keys):
    chosen = {"datasets": ["wine"], "depths": [4], "primary_depth": 4, "freeze_ratios": [0.5], "width": 16}
    chosen |= {"epochs_alternating": 4, "learning_rate": 0.01}
    return config.cell(config.validate(chosen | keys), "wine", 4, "alternating-0.5")


@pytest.fixture
def room_for(monkeypatch):
    """Let memory run out in a step of a stack with more than some seeds."""

    def limit(seeds, error=ERRORS[0], step=6):
        original, steps = training.StackedMLP.compute_gradients, []

        def compute_gradients(network, x, *arguments):
            steps.append(len(x))
            if len(x) > seeds and steps.count(len(x)) % step == 0:
                raise error
            return original(network, x, *arguments)

        monkeypatch.setattr(training.StackedMLP, "compute_gradients", compute_gradients)

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


def test_the_manifest_says_how_the_seeds_were_stacked(wine, room_for, tmp_path):
    np.savez(tmp_path / "wine.npz", X=wine[0], y=wine[1])
    room_for(2)
    training.run(tmp_path / "wine.npz", make_cell(), range(4), "cpu", 1, tmp_path / "a.csv", tmp_path / "a.json")
    manifest = json.loads((tmp_path / "a.json").read_text())
    assert manifest["stacks"] == ["0-1", "2-3"]
    assert manifest["too_large_stacks"] == [4]
    assert manifest["seeds"] == [0, 1, 2, 3]


def test_a_tuning_is_that_of_one_stack(wine, room_for, tmp_path):
    np.savez(tmp_path / "wine.npz", X=wine[0], y=wine[1])
    found = []
    for name in ("whole", "split"):
        tuning.run(tmp_path / "wine.npz", make_cell(), [0.01, 0.1], range(4), "cpu", 1, tmp_path / name)
        found.append(json.loads((tmp_path / name).read_text()))
        room_for(2)
    assert found[0]["learning_rate"] == found[1]["learning_rate"]
    for whole, parts in zip(*(each["trials"] for each in found), strict=True):
        assert whole == pytest.approx(parts, rel=1e-5)


def test_split_makes_the_fewest_stacks_of_nearly_equal_size():
    for seeds in range(1, 40):
        for largest in range(1, 45):
            stacks = memory.split(range(seeds), largest)
            assert list(chain(*stacks)) == list(range(seeds))
            sizes = [len(stack) for stack in stacks]
            assert max(sizes) <= largest
            assert max(sizes) - min(sizes) <= 1
            assert (len(stacks) - 1) * largest < seeds


def test_stacks_are_as_large_as_the_memory_that_is_given(monkeypatch):
    seed = memory.Memory(host=2 * 2**20, device=8 * 2**20)
    monkeypatch.setattr(memory, "resident_memory", lambda: 300 * 2**20)
    assert memory.largest_stack(seed, "cpu") >= 10**9
    assert memory.largest_stack(seed, "cpu", 400 * 2**20) == 9
    assert memory.largest_stack(seed, "cpu", 200 * 2**20) == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 * 2**20, 100 * 2**20))
    assert memory.largest_stack(seed, "cuda") == 9
    assert memory.largest_stack(seed, "cuda", 310 * 2**20) == 4


def test_a_job_stays_below_the_memory_that_it_is_given(wine, monkeypatch):
    cell = make_cell()
    expected = train_pack(*wine, cell, range(6)).rows
    seed = sum(memory.needed(cell, workload_of(*wine, cell), len(wine[1])))
    taken = memory.resident_memory()
    monkeypatch.setattr(memory, "resident_memory", lambda: taken)
    limit = taken + int(2.5 * seed / memory.USABLE_SHARE)
    trained = train_seeds(*wine, cell, range(6), memory=limit)
    assert trained.stacks == [[0, 1], [2, 3], [4, 5]]
    assert trained.too_large == []
    assert_same_runs(trained.rows, expected)


PEAK = """
import json, sys
import numpy as np
from altfreeze.training import checkpoints
from altfreeze.training import memory
from altfreeze.training import trainer as training
def peak():
    "Unlike ru_maxrss, this does not begin with what the parent took."
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
cell, rows, features, seeds, flow = json.loads(sys.argv[1])
training.prepare("cpu", 1)
generator = np.random.default_rng(1)
X, y = generator.normal(size=(rows, features)), np.arange(rows) % 3
small = cell | {"width": 1, "batch_size": 1, "epochs": 1}
training.train_pack(X[:20], y[:20], small, [0])
before = peak()
flow = training.GradientFlow() if flow else None
kept = checkpoints.Checkpoint(sys.argv[2], 1)
training.train_pack(X, y, cell, range(seeds), flow=flow, save=lambda epoch, state: kept.save(state()))
print(peak() - before)
seed = memory.needed(cell, training.workload_of(X, y, cell), rows, flow is not None)
print(seeds * (seed.host + seed.device))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells the most that a process took")
@pytest.mark.parametrize(
    ("keys", "rows", "features", "seeds", "flow"),
    [
        # what counts: data, weights, weights that are observed, activations, the cache
        ({"width": 8}, 20_000, 50, 20, False),
        ({"width": 600, "optimizer": "adam"}, 60, 10, 10, False),
        ({"width": 600, "optimizer": "sgd"}, 60, 10, 10, True),
        ({"width": 300, "batch_size": 8000, "dropout": 0.1}, 12_000, 4, 4, False),
        ({"width": 200, "freeze_period": 2}, 12_000, 4, 10, False),
    ],
    ids=["data", "weights", "observed", "activations", "cache"],
)
def test_a_stack_takes_about_what_was_estimated(tmp_path, keys, rows, features, seeds, flow):
    cell = make_cell(epochs_alternating=4, **keys)
    case = json.dumps([cell, rows, features, seeds, flow])
    done = subprocess.run(
        [sys.executable, "-c", PEAK, case, tmp_path / "a.pt"], capture_output=True, text=True, check=True
    )
    measured, estimated = map(int, done.stdout.split())
    assert measured > 40 * 2**20, "too little to be measured"
    assert measured * 0.9 < estimated < measured * 2


LIMITED = """
import resource, sys
import numpy as np
from altfreeze import cli
from altfreeze.training import trainer as training
training.torch.set_num_threads(1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]), resource.RLIM_INFINITY))
cli.main(sys.argv[2:])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux")
@pytest.mark.parametrize(("mebibytes", "fits"), [(200, True), (20, False)])
def test_memory_that_really_runs_out(tmp_path, mebibytes, fits):
    rows = 4000
    np.savez(tmp_path / "data.npz", X=np.random.default_rng(1).normal(size=(rows, 100)), y=np.arange(rows) % 3)
    cell = make_cell(width=400, batch_size=2000, epochs_alternating=2, freeze_period=2)
    options = {"data": tmp_path / "data.npz", "cell": json.dumps(cell), "seeds": "0-7", "device": "cpu"}
    options |= {"output": tmp_path / "a.csv", "manifest": tmp_path / "a.json"}
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-c", LIMITED, str(mebibytes * 2**20), "train", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if fits:
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "a.json").read_text())["too_large_stacks"][0] == 8
        assert "8 seeds do not fit into the host's memory; trains halves" in done.stderr
    else:
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].startswith("altfreeze: wine, depth 4, alternating: seed 0 alone does not")
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "a.csv").exists()
