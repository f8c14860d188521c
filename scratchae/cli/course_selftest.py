"""`scratchae course selftest`: every known attack on the grader, tried on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from scratchae.cli.app import console
from scratchae.cli.course import course


@course.command()
def selftest(
    only: Annotated[str, typer.Option(help="Only attacks with this in their name.")] = "",
) -> None:
    """Try every attack that is known in this machine's own sandbox, and say how each was contained.

    After each an honest submission is graded, which must lose nothing. The exit code is 0 where all
    were contained, else 1.

    Example: scratchae course selftest
    """
    from rich.table import Table
    from rich.text import Text

    from scratchae.course.grading.tables import harmless
    from scratchae.course.sandbox import DESCRIPTIONS, choose_isolation
    from scratchae.course.selftest import selftest as try_attacks

    isolation = choose_isolation()
    table = Table("attack", "contained", "how", title_justify="left")
    with console.status("trying attacks") as status:
        found = try_attacks(isolation, only, lambda tried: status.update(f"tried: {tried.name}"))
    for tried in found:
        mark = Text("yes", "green") if tried.contained else Text("NO", "bold red")
        table.add_row(tried.name, mark, Text(harmless(tried.how)))
    console.print(table)
    held = sum(tried.contained for tried in found)
    console.print(f"{held} of {len(found)} contained. {DESCRIPTIONS[isolation]}")
    if held < len(found):
        raise typer.Exit(1)
