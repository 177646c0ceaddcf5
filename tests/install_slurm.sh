#!/bin/sh
# Install the Slurm that tests/workflow/test_slurm.py starts, and the database of its accounting; Debian or Ubuntu, as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
# its services are not started here: the tests start daemons of their own
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get -o DPkg::Lock::Timeout=300 update
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends slurm-wlm munge slurmdbd mariadb-server-core mariadb-client-core
