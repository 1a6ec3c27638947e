"""What a person sees while a cluster starts: a live display in a terminal, plain lines when piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

_PLAIN_LINE_EVERY_S = 3.0

Advance = Callable[[int], None]
"""Takes the number of bytes that arrived since the last call; may be called from several threads."""


class Screen:
    """Where progress goes."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def note(self, text: str) -> None:
        """One line of what is going on."""
        self._console.print(escape(text), soft_wrap=True)

    def done(self, text: str) -> None:
        """One line of something achieved."""
        self._console.print(f"[green]✓[/green] {escape(text)}", soft_wrap=True)

    def failed(self, text: str) -> None:
        """What went wrong; several lines are fine."""
        self._console.print(f"[bold red]✗[/bold red] {escape(text)}", soft_wrap=True)

    def table(self, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """A table; columns separated by tabs when piped, so that it can be cut."""
        if not self._console.is_terminal:
            self._plain_table(title, columns, rows)
            return
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print(table)

    def _plain_table(self, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        if self._console.quiet:
            return
        for line in (title, "\t".join(columns), *("\t".join(row) for row in rows)):
            print(line, file=self._console.file)  # rich would turn tabs into spaces

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show in a terminal that something goes on; silent when piped, where each step has its own line."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(escape(text)):
            yield

    @contextmanager
    def download(self, text: str, total_bytes: int, there_bytes: int = 0) -> Iterator[Advance]:
        """Show how far a download of `total_bytes` is, of which `there_bytes` were there before."""
        if not self._console.is_terminal:
            yield self._plain_download(text, total_bytes, there_bytes)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(escape(text), total=total_bytes, completed=there_bytes)
            yield lambda arrived_bytes: progress.advance(task, arrived_bytes)

    def _plain_download(self, text: str, total_bytes: int, there_bytes: int) -> Advance:
        shown_at, done_bytes = 0.0, there_bytes

        def advance(arrived_bytes: int) -> None:
            nonlocal shown_at, done_bytes
            done_bytes += arrived_bytes
            if time.monotonic() - shown_at > _PLAIN_LINE_EVERY_S or done_bytes == total_bytes:
                shown_at = time.monotonic()
                self.note(f"{text}: {done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB")

        return advance
