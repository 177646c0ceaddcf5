"""What is told to the user in one line."""


class InputError(Exception):
    """What the user gave cannot be used; the message is one line: what is wrong, where, and what is allowed."""

    def __init__(self, message):
        # what stands in a user's file may break the line, or steer the terminal
        printable = "".join(character if character.isprintable() else " " for character in message)
        super().__init__(" ".join(printable.split()))
