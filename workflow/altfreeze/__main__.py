"""Entry point of `python -m altfreeze`."""

from altfreeze.support.forkclient import enter

# a job that a server forks for this one goes on here, and this one ends
leave = enter()

from altfreeze.cli import main  # noqa: E402 it imports more than a client needs

main()
leave()
