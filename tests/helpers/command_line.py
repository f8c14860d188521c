"""What the tests of the command line's error messages share."""

from collections.abc import Callable


def error_sentence(call: Callable, *words: object) -> str:
    """Run a command that fails, and return its error: one sentence, with exit code 2 and no traceback."""
    code, _, err = call(*words)
    assert code == 2
    assert "Traceback" not in err
    last = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(last) == 1, err
    assert "\n" not in err.split("error: ")[1].strip()
    return last[0]
