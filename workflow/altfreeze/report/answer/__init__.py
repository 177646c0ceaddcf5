"""The answer of a study: its first sentence, and those below it."""
