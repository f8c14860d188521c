"""The zip that Gradescope makes an autograder of: setup.sh, run_autograder, the library, the assignment."""

from __future__ import annotations

import importlib.metadata
import io
import re
import zipfile
from pathlib import Path

from scratchae.course.assignment import Assignment
from scratchae.course.blanked_sources import ROOT
from scratchae.files import replacing

SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image.
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv libseccomp2
python3 -m venv /opt/scratchae
/opt/scratchae/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu {torch}
/opt/scratchae/bin/pip install --no-cache-dir {others}
chmod -R go= /autograder/source  # the answers and the secret: submissions run as another user
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for every submission, as root.
set -euo pipefail
root=/autograder
chmod go= "$root/source"
rm -f "$root/results/results.json"
cd /
PYTHONPATH="$root/source" PYTHONDONTWRITEBYTECODE=1 exec \\
    "${{SCRATCHAE_PYTHON:-/opt/scratchae/bin/python}}" -m scratchae.course.grading.autograder \\
    {assignment} "$root/source/course.secret" "$root"
"""


def write_autograder(assignment: Assignment, secret: bytes, out: Path) -> None:
    """Write the zip; the same library, assignment and secret give the same bytes."""
    own = not assignment.path.is_relative_to(ROOT)
    name = f"/autograder/source/assignment/{assignment.path.name}" if own else assignment.name
    torch, others = requirements()
    files = {
        "setup.sh": SETUP.format(torch=torch, others=" ".join(others)).encode(),
        "run_autograder": RUN.format(assignment=f"'{name}'").encode(),
        "course.secret": secret + b"\n",
    }
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"scratchae/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    if own:
        for path in sorted(assignment.path.parent.glob("*")):
            if path.suffix in (".py", ".toml"):
                files[f"assignment/{path.name}"] = path.read_bytes()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if name in ("setup.sh", "run_autograder") else 0o600
            info.external_attr = mode << 16
            archive.writestr(info, data)
    with replacing(out) as beside:
        beside.write_bytes(whole.getvalue())


def requirements() -> tuple[str, list[str]]:
    """(torch, the rest), quoted, as this library was installed with; `course` is among them."""
    found = importlib.metadata.requires("scratchae") or []
    kept = [
        r.partition(";")[0].strip()
        for r in found
        if "extra" not in r or "'course'" in r.replace('"', "'")
    ]
    kept = [f"'{r}'" for r in kept if re.match(r"^[\w.-]+", r)]
    torch = next(r for r in kept if r.startswith("'torch"))
    return torch, [r for r in kept if r != torch]
