"""Random streams, keyed by what they are for and never by who asks."""

import hashlib
import json


def stream_seed(*key: int | str) -> int:
    """Return the seed of the random stream named by `key`.

    Every random draw of a study comes from a stream of its own, so that runs
    that differ only in their strategy draw the same numbers and no draw depends
    on the size of a pack or on the order of the work. A run's streams are keyed
    (study seed, dataset, seed, purpose) with the purposes ``split`` and ``batch order``, and
    (study seed, dataset, depth, seed, purpose) with ``initial weights`` and ``dropout``.

    Parameters
    ----------
    *key : int or str
        The parts of the key, in order.

    Returns
    -------
    int
        A number in [0, 2**63): the first 63 bits of the SHA-256 of the key as JSON.
    """
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
