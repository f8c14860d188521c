"""Run the studies: `python -m reference.vae [grey conv beta binarised collapse]`."""

from __future__ import annotations

from typing import Annotated

import torch
import typer

from reference.vae import collapse, report, studies

STUDIES = {
    "grey": studies.grey,
    "conv": studies.conv,
    "beta": studies.beta,
    "binarised": studies.binarised,
    "collapse": collapse.collapse,
}


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Studies to run; all if none is named.")
    ] = None,
) -> None:
    """Run the studies that are not stored yet, and write the page of results."""
    torch.set_num_threads(1)
    for name in names or STUDIES:
        if name not in STUDIES:
            raise typer.BadParameter(f"{name} is not one of {', '.join(STUDIES)}")
        STUDIES[name]()
    report.write()


if __name__ == "__main__":
    typer.run(main)
