"""Fixtures that more than one test module may use."""

import os
import shutil
import subprocess
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


def _programs():
    return shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless chromium; installed where that is possible, else the test is skipped, but in CI it fails."""
    if not all(_programs()) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([Path(__file__).with_name("install_chromium.sh")], check=False, timeout=900)
    chromium, chromedriver = _programs()
    if not (chromium and chromedriver):
        reason = "chromium and chromedriver are not on PATH; tests/install_chromium.sh installs them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
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
