"""What can keep a cluster from running. Each message is written for the person at the terminal."""

from __future__ import annotations

from collections.abc import Sequence


class ClusterError(Exception):
    """The cluster cannot start or go on."""


class AlreadyRunning(ClusterError):
    """Another cluster works on the same data folder."""


class DownloadFailed(ClusterError):
    """A file could not be fetched, or what came is not what was pinned."""


class NoFreePort(ClusterError):
    """No port could be found that nobody listens on."""


class NotRunning(ClusterError):
    """A command needs a running cluster and there is none."""


class PartFailed(ClusterError):
    """A part ended by itself or never became ready; the message shows the last lines of its log."""

    def __init__(self, part: str, what: str, last_lines: Sequence[str]) -> None:
        log = "\n".join(f"    {line}" for line in last_lines) or "    (its log is empty)"
        super().__init__(f"{part} {what}. The last lines of its log:\n{log}")
        self.part = part


class SecretsLost(ClusterError):
    """A data folder is there, but the secrets it was made with are not."""


class StrangeFolder(ClusterError):
    """A folder that was to be forgotten does not look like a cluster's."""


class ToolFailed(ClusterError):
    """A program that was to do one thing and end did not succeed; the message holds what it said."""
