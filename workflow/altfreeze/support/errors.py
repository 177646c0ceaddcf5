"""What is told to the user, one line a mistake."""


def _in_one_line(message: str) -> str:
    # what stands in a user's file may break the line, or steer the terminal
    printable = "".join(character if character.isprintable() else " " for character in message)
    return " ".join(printable.split())


class InputError(Exception):
    """What the user gave cannot be used.

    Parameters
    ----------
    *messages : str
        One for each mistake: what is wrong, where, and what is allowed.

    Attributes
    ----------
    args : tuple of str
        The messages, each in one line.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__(*map(_in_one_line, messages))

    def __str__(self) -> str:
        return "\n".join(self.args)
