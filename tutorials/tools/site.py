"""Build the site: python -m tutorials.tools.site [FOLDER]. The build does not use the network.

Pages, chapters and the tables of reference/results are copied side by side into build/site-source, so
that links between them are short. The build also trains a network and writes its explorer. The outputs
of chapters are kept in a cache, whose name depends on the sources of the library: if a layer changes,
every chapter runs again.
"""

import hashlib
import logging
import os
import shutil
import sys
from pathlib import Path

import torch
from filelock import FileLock
from sphinx.cmd.build import main as sphinx_build

import scratchae
from scratchae.data import load
from scratchae.explorer import write_page
from scratchae.training import fit
from tutorials.tools.chapters import FOLDER, chapters

ROOT = FOLDER.parent
BUILD = ROOT / "build"
SOURCE = BUILD / "site-source"
KERNEL = """\
c.InlineBackend.figure_formats = {"retina"}
c.IPKernelApp.log_level = "ERROR"
"""


def lay_out() -> None:
    """Copy all sources to SOURCE with their times, so that Sphinx reads only what has changed."""
    sources = {path.relative_to(FOLDER / "pages"): path for path in files(FOLDER / "pages")}
    sources |= {Path("chapters", path.name): path for path in chapters()}
    results = ROOT / "reference" / "results"
    for kind in ("*.md", "*.png"):
        sources |= {Path("results", path.name): path for path in results.glob(kind)}
    for old in files(SOURCE):
        if old.relative_to(SOURCE) not in sources:
            old.unlink()
    for name, path in sources.items():
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, SOURCE / name)


def explorer(folder: Path) -> None:
    """Train fc for 40 epochs and write its explorer, if this state of the library has none yet."""
    if not (folder / "explorer.html").exists():
        folder.mkdir(exist_ok=True)
        run = fit(
            "fc",
            load("sample"),
            epochs=40,
            lr=2e-3,
            engine="buffered",
            device="cpu",
            progress=False,
        )
        write_page(run, load("sample"), folder / "explorer.html")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def fingerprint() -> str:
    """Return a hash of the library's sources and torch's version."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(files(Path(scratchae.__file__).parent)):
        if path.suffix in (".py", ".js", ".css", ".html"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def build(folder: Path) -> int:
    """Build the site; every warning is an error. Return Sphinx's exit code."""
    lay_out()
    profile = BUILD / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL)
    torch.set_num_threads(1)  # on busy cores, threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same for the processes of the chapters
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # a warning of tqdm
    os.environ["IPYTHONDIR"] = str(BUILD / "ipython")
    for kind in ("EXPLORER", "CHAPTERS"):
        os.environ[f"SCRATCHAE_{kind}"] = str(BUILD / f"{kind.lower()}-{fingerprint()}")
    explorer(Path(os.environ["SCRATCHAE_EXPLORER"]))
    logging.getLogger("traitlets").setLevel(logging.WARNING)  # not "Executing notebook ..."
    options = ["-W", "--keep-going", "-q", "-c", str(Path(__file__).parent)]
    return sphinx_build([*options, "-d", str(BUILD / "doctrees"), str(SOURCE), str(folder)])


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILD / "site"
    BUILD.mkdir(exist_ok=True)
    with FileLock(
        BUILD / "site.lock"
    ):  # two builds at a time would read each other's unfinished files
        code = build(folder)
    if code:
        sys.exit(code)
    print(f"the site is in {folder}: open {folder / 'index.html'}, or run make serve")
