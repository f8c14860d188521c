"""Journal: a line a submission, written the moment it is graded, so that nothing is ever graded twice.

A line is kept under the hash of the submission and of all that grading depends on. What was cut off
by a crash is left out when the journal is read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from scratchae.errors import ScratchaeError
from scratchae.files import reason


class Journal:
    """{key: result}, in memory and in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = path.read_bytes() if path.exists() else b""
            for line in whole.split(b"\n"):
                self.take(line)
            self.file = path.open("ab")
            if whole and not whole.endswith(b"\n"):
                self.file.write(b"\n")  # what was cut off stays a line of its own
        except OSError as error:
            raise ScratchaeError(f"cannot write {path}: {reason(error)}") from error

    def take(self, line: bytes) -> None:
        """A line of the file; one that is no JSON was cut off."""
        try:
            entry = json.loads(line)
        except ValueError:
            return
        for key in entry.get("void", ()):
            self.results.pop(key, None)
        if "key" in entry:
            self.results[entry["key"]] = entry["result"]

    def add(self, key: str, result: dict, seconds: float) -> None:
        """Write a result, for good."""
        self.write({"key": key, "result": result, "seconds": round(seconds, 3)})
        self.results[key] = result

    def void(self, keys: list[str]) -> None:
        """These results are not to be believed."""
        self.write({"void": keys})
        for key in keys:
            self.results.pop(key, None)

    def write(self, entry: dict) -> None:
        try:
            self.file.write(json.dumps(entry).encode() + b"\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise ScratchaeError(f"cannot write {self.path}: {reason(error)}") from error

    def close(self) -> None:
        self.file.close()
