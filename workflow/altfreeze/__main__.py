"""Entry point of `python -m altfreeze`."""

from altfreeze.cli import main

main()
