#!/bin/sh
# Install rsync, by which the storage of a test is written; Debian or Ubuntu, as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends rsync
