"""Fixtures that more than one test module may use."""

import shutil
import subprocess
import sys

import pytest
from builders import ROOT, need

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


# the modules that wait for jobs most, beside which others run, the longest first
SLOW = ("test_slurm", "test_workflow", "test_terminal", "test_faults")


def pytest_collection_modifyitems(items):
    """Begin with the slow modules."""
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))


@pytest.fixture(scope="module")
def one_thread():
    """Let a module train with one thread, as a job does."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """Let a test that trains in this process flush subnormal numbers to zero for itself alone."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def wine():
    """Features and classes of the data set wine, not to be changed."""
    from sklearn.datasets import load_wine

    return load_wine(return_X_y=True)


@pytest.fixture
def stored_wine(wine, tmp_path):
    """Where the wine data is stored as a job reads it."""
    import numpy as np

    path = tmp_path / "wine.npz"
    np.savez(path, X=wine[0], y=wine[1])
    return path


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
