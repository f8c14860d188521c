"""python -m scratchae: the same as the command `scratchae`."""

from scratchae.cli import main

main()
