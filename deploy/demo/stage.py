"""What the audience sees: chapters, steps, tables, progress; plain aligned lines when piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Advance = Callable[[], None]
"""Called when one more of what is counted is done."""


class Stage:
    """Where the play is shown."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def chapter(self, title: str) -> None:
        """The title of a part of the play."""
        if self._console.is_terminal:
            self._console.print()
            self._console.rule(f"[bold]{escape(title)}[/bold]", align="left")
        else:
            self._print(f"\n== {title} ==")

    def say(self, text: str) -> None:
        """One line of what happens."""
        self._print(escape(text))

    def held(self, text: str) -> None:
        """A check that held."""
        self._print(f"[green]✓[/green] {escape(text)}")

    def failed(self, text: str) -> None:
        """A check that did not."""
        self._print(f"[bold red]✗[/bold red] {escape(text)}")

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
    ) -> None:
        """A table; the columns numbered in `right` hold figures."""
        if not self._console.is_terminal:
            self._plain_table(title, columns, rows, right)
            return
        table = Table(title=title, title_justify="left", title_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print(table)

    def _plain_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]
    ) -> None:
        widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
        self._print(escape(title))
        for row in (columns, *rows):
            padded = (
                " " * (width - cell_len(cell)) + cell if number in right else cell + " " * (width - cell_len(cell))
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            self._print(escape("  " + "  ".join(padded).rstrip()))

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Advance]:
        """Show how much of something is done; when piped, one line at its end."""
        started = time.monotonic()
        if not self._console.is_terminal:
            yield lambda: None
            self.say(f"{text}: {total:,} in {time.monotonic() - started:.1f} s")
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(escape(text), total=total)
            yield lambda: bar.advance(task)

    def _print(self, markup: str) -> None:
        self._console.print(markup, soft_wrap=True)
