"""Alternating layer freezing, compared with standard training."""

__version__ = "0.1.0"


class InputError(Exception):
    """What the user gave cannot be used; the message is one line: what is wrong, where, and what is allowed."""
