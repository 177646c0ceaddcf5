"""Kernels of notebooks that are forked, as jobs are, where there is a server."""

import os
import sys

from ipykernel.kernelapp import IPKernelApp
from jupyter_client.manager import AsyncKernelManager

from altfreeze.support.forkclient import VARIABLE


class ForkedKernelManager(AsyncKernelManager):
    """Starts a kernel by the command line of this package, so that a server may fork it."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts a kernel; without a server that of its specification."""
        command = super().format_kernel_cmd(extra_arguments)
        if VARIABLE not in os.environ:
            return command
        return [sys.executable, "-m", "altfreeze", "kernel", "--connection", self.connection_file]


def run_kernel(connection: str) -> None:
    """Run a kernel until it is told to end.

    Parameters
    ----------
    connection : str
        The connection file that the kernel's manager wrote.
    """
    # its default is what the environment was when a server imported it
    application = IPKernelApp.instance(parent_handle=int(os.environ["JPY_PARENT_PID"]))
    application.initialize(["-f", connection])
    # what Matplotlib does when a kernel imports it, which a server has done before
    if application.shell:
        application.shell.enable_matplotlib("inline")
    application.start()
