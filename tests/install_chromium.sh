#!/bin/sh
# Install the browser that the tests of pages drive; Debian, as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends chromium chromium-driver
