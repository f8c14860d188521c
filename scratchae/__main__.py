"""`python -m scratchae` is the same as the command `scratchae`."""

from scratchae.cli import main

if __name__ == "__main__":
    main()
