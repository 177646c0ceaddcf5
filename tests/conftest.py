"""Fixtures that more than one test module may use."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

CHROME_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Begin with the modules that wait for jobs most, beside which others run."""
    slow = ("test_slurm", "test_workflow", "test_terminal")
    items.sort(key=lambda item: item.module.__name__ not in slow)


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """Let a test that trains in this process flush subnormal numbers to zero for itself alone."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def copy_clone():
    """Return a function that copies what a clone holds to a new folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    def copy(folder):
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        return folder

    return copy


def need(programs, script, path=None):
    """Find programs, installed by a script of this folder where that is possible.

    Where they cannot be had the test is skipped, but in CI it fails.

    Parameters
    ----------
    programs : sequence of str
    script : str
    path : str, optional
        Folders to look in, as in PATH.

    Returns
    -------
    list of str
        Where they are.
    """

    def find():
        return [shutil.which(program, path=path) for program in programs]

    if not all(find()) and os.geteuid() == 0 and shutil.which("apt-get"):
        # tests that run side by side install one after the other
        with open(Path(tempfile.gettempdir(), "altfreeze-tests-install.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(find()):
                subprocess.run([Path(__file__).with_name(script)], check=False, timeout=900)
    if not all(find()):
        absent = [program for program, place in zip(programs, find(), strict=True) if not place]
        reason = f"{', '.join(absent)} not found; tests/{script} installs what is needed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return find()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless chromium."""
    chromium, chromedriver = need(["chromium", "chromedriver"], "install_chromium.sh")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*CHROME_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()
