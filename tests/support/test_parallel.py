"""Several processes give what one does, in the same order."""

import pytest
from altfreeze.support.errors import InputError
from altfreeze.support.parallel import FEWEST_TASKS, in_order
from tasks import die_at_5, refuse_30_and_70, square


@pytest.mark.parametrize("count", [0, 1, FEWEST_TASKS, 3 * FEWEST_TASKS])
def test_results_come_in_the_order_of_the_tasks(count):
    assert list(in_order(square, range(count), 2)) == [number**2 for number in range(count)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_mistake_of_the_first_task_that_has_one_is_raised_after_the_results_before_it(threads):
    results = []
    with pytest.raises(InputError, match="30 is refused"):
        results.extend(in_order(refuse_30_and_70, range(100), threads))
    assert results == list(range(30))


def test_a_process_that_is_killed_is_one_line():
    with pytest.raises(InputError, match="a process was killed") as caught:
        list(in_order(die_at_5, range(100), 2))
    assert str(caught.value).isprintable()
