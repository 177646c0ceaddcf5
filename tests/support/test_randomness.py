"""Random streams are keyed by what they are for, and are the same everywhere."""

import hashlib

import pytest
from altfreeze.support.randomness import stream_seed


@pytest.mark.parametrize("other", [(2, "iris", 4, 0), (1, "wine", 4, 0), (1, "iris", 6, 0), (1, "iris", 4, 1)])
def test_streams_differ_in_every_part_of_the_key(other):
    assert stream_seed(1, "iris", 4, 0, "split") != stream_seed(*other, "split")
    assert stream_seed(1, "iris", 4, 0, "split") != stream_seed(1, "iris", 4, 0, "dropout")


def test_streams_are_the_same_on_every_machine():
    digest = hashlib.sha256(b'[1, "iris", 4, 0, "split"]').hexdigest()
    assert stream_seed(1, "iris", 4, 0, "split") == int(digest[:16], 16) // 2
