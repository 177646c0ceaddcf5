"""GPUs: every job claims one of its own, waits while all are taken, and frees it however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
from altfreeze.support.errors import InputError
from altfreeze.training import gpu as devices

CLAIM = """
import sys
from altfreeze.training import gpu as devices
devices.SECONDS_BETWEEN_TRIES = 0.01
print(devices.claim(sys.argv[1].split(","), sys.argv[2]), "torch" in sys.modules, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def jobs(tmp_path):
    """Start processes that claim one of several devices and hold it until they are ended."""
    started = []

    def start(names):
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, names, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def claimed(process):
    device, torch_is_there = process.stdout.readline().split()
    assert torch_is_there == "False"
    return device


def test_jobs_that_start_at_once_claim_devices_that_differ(jobs):
    started = [jobs("0,1,2,3") for _ in range(4)]
    assert sorted(map(claimed, started)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_job_too_many_says_so_and_gets_the_device_of_the_next_that_ends(jobs, end):
    first = [jobs("0,GPU-1a2b") for _ in range(2)]
    devices_of_first = [claimed(process) for process in first]
    assert sorted(devices_of_first) == ["0", "GPU-1a2b"]
    third = jobs("0,GPU-1a2b")
    said = third.stderr.readline()
    assert said == "GPU 0, GPU-1a2b: taken by other jobs; waits until one is free\n"
    if end == "kill":
        first[1].send_signal(signal.SIGKILL)
    else:
        first[1].stdin.close()
    assert claimed(third) == devices_of_first[1]
    third.stdin.close()
    assert third.stderr.read() == "", "it says so once"


def test_a_child_of_a_job_does_not_keep_its_device(tmp_path):
    holder = """
import subprocess, sys
from altfreeze.training import gpu as devices
devices.claim(["0"], sys.argv[1])
print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL).pid)
"""
    done = subprocess.run([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE, text=True, check=True)
    child = int(done.stdout)
    try:
        os.kill(child, 0)
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", CLAIM, "0", tmp_path], stdin=subprocess.DEVNULL, check=True, timeout=30)
        assert time.monotonic() - began < 30
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0", ["0"]),
        ("2,5", ["2", "5"]),
        (" 1 , 0 ", ["1", "0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,2", ["0"]),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,MIG-1", ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "MIG-1"]),
    ],
)
def test_a_choice_made_by_the_user_or_by_slurm_is_kept_to(value, names, tmp_path):
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": value}, tmp_path) == names


def test_without_a_choice_the_gpus_are_those_of_the_driver(tmp_path):
    assert devices.visible_gpus({}, tmp_path) == []
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (tmp_path / name).touch()
    assert devices.visible_gpus({}, tmp_path) == ["0", "1", "2"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "_claimed", [])
    monkeypatch.setattr(devices.time, "sleep", lambda seconds: pytest.fail("it waits"))
    return tmp_path


def test_a_job_sees_only_the_gpu_that_it_claimed(temporary, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    devices.claim_gpu("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    devices.claim_gpu("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"


def test_a_job_on_the_cpu_or_without_gpus_claims_nothing(temporary, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    devices.claim_gpu("cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,4"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices.claim_gpu("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert list(temporary.iterdir()) == []


def test_two_slurm_jobs_that_both_count_from_0_do_not_wait_for_each_other(temporary, monkeypatch):
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        devices.claim_gpu("cuda")
    assert len(devices._claimed) == 2


def test_a_lock_folder_of_another_user_is_one_line(temporary):
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    devices.lock_folder({}).rmdir()
    (temporary / f"altfreeze-gpus-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(InputError, match="belongs to another user"):
        devices.lock_folder({})
