"""Execute a notebook through papermill, and say in one line where and why one failed."""

import logging
import sys

import papermill
import zmq
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError

from altfreeze.support.errors import InputError

KERNEL = "python3"
# two kernels that start at once can choose the same port; another start chooses another
STARTS = 3


def execute(notebook, parameters, executed):
    """Execute a notebook and keep the executed copy, up to the cell that failed if one did.

    What the cells print, and the whole traceback of one that fails, goes to standard
    error. A kernel that does not start is started again; a cell that failed is not.

    Parameters
    ----------
    notebook : pathlib.Path
        Notebook with a cell that is tagged ``parameters``.
    parameters : dict
        Values of names in that cell.
    executed : pathlib.Path
        Notebook to write, cell after cell.

    Raises
    ------
    InputError
        If a cell fails, or the kernel is missing, dies or does not start: the notebook,
        the cell's number and the error.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    executed.parent.mkdir(parents=True, exist_ok=True)
    options = {"kernel_name": KERNEL, "log_output": True, "progress_bar": False}
    for start in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(notebook, executed, parameters, **options)
            return
        except papermill.PapermillExecutionError as error:
            print(error, file=sys.stderr)
            value = next(iter(str(error.evalue).splitlines()), "")
            raise InputError(
                f"{notebook.name}, cell In [{error.exec_count}]: {error.ename}: {value} "
                f"(the executed copy up to there: {executed})"
            ) from None
        except NoSuchKernel:
            raise InputError(
                f"{notebook.name}: this environment has no Jupyter kernel {KERNEL}; make it with: "
                f"{sys.executable} -m ipykernel install --sys-prefix --name {KERNEL}"
            ) from None
        except DeadKernelError:
            raise InputError(
                f"{notebook.name}: its kernel died, most often for want of memory (the executed copy: {executed})"
            ) from None
        except (RuntimeError, zmq.ZMQError) as error:
            message = f"{notebook.name}: its kernel did not start: {error}"
            if start == STARTS:
                raise InputError(message) from None
            print(f"{message}; starting it again", file=sys.stderr)
