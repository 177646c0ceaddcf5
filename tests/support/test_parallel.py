"""Several processes give what one does, in the same order."""

import os

import pytest
from altfreeze.support import parallel as processes
from altfreeze.support.errors import InputError


def squared(number):
    return number**2


def refused(number):
    if number in (30, 70):
        raise InputError(f"{number} cannot be squared")
    return number


def killed(number):
    if number == 5:
        os._exit(1)


@pytest.mark.parametrize("count", [0, 1, processes.FEWEST_TASKS, 3 * processes.FEWEST_TASKS])
def test_results_come_in_the_order_of_the_tasks(count):
    assert list(processes.in_order(squared, range(count), 2)) == [number**2 for number in range(count)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_mistake_of_the_first_task_that_has_one_is_raised_after_the_results_before_it(threads):
    found = []
    with pytest.raises(InputError, match="30 cannot"):
        found.extend(iter(processes.in_order(refused, range(100), threads)))
    assert found == list(range(30))


def test_a_process_that_is_killed_is_one_line():
    with pytest.raises(InputError, match="a process was killed") as caught:
        list(processes.in_order(killed, range(100), 2))
    assert str(caught.value).isprintable()
