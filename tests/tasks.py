"""Tasks for several processes, each of which imports this module: it imports next to nothing."""

import os

from altfreeze.support.errors import InputError


def square(number: int) -> int:
    """Return the square of a number."""
    return number**2


def refuse_30_and_70(number: int) -> int:
    """Return a number, or refuse it."""
    if number in (30, 70):
        raise InputError(f"{number} is refused")
    return number


def die_at_5(number: int) -> None:
    """End the process of number 5, as a want of memory does."""
    if number == 5:
        os._exit(1)
