"""A process that sends or receives and is killed at a boundary: `FOLDER JOB BOUNDARY`; see test_bank_kills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.settlement.bank.adapter import FolderBank
from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import LedgerKey
from services.settlement.use_cases import settling
from services.settlement.use_cases.bank_receiving import receive
from services.settlement.use_cases.bank_sending import send
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.database import Database
from shared.keys import DATA_KEYS, ledger_key
from shared.personal import PersonalDataKeys
from shared.regions import RegionTree
from shared.settings import Settings
from shared.workdays import WorkCalendar


def die() -> None:
    """No handler, no cleanup, no rollback of ours: what a power cut leaves."""
    os.kill(os.getpid(), signal.SIGKILL)


class KilledBank(FolderBank):
    """The folder, in a process that dies at one moment."""

    def __init__(self, folder: Path, boundary: str) -> None:
        super().__init__(folder)
        self._boundary = boundary

    def put(self, name: str, content: bytes) -> None:
        """Hand over, and die before, in the middle or after."""
        if self._boundary == "fixed":
            die()
        link = os.link

        def linked(*places: Any) -> None:
            if self._boundary == "written aside":
                die()
            link(*places)
            if self._boundary == "handed over":
                die()

        os.link = linked  # type: ignore[assignment]
        super().put(name, content)
        if self._boundary == "before the mark":
            die()

    def done(self, name: str) -> None:
        """Put an answer away, or die with the answer booked."""
        if self._boundary == "booked":
            die()
        super().done(name)


async def main(folder: Path, job: str, boundary: str) -> None:
    """Do one round of a job."""
    settings = Settings()
    database = Database(settings, "settlement")
    await database.open()
    keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())
    parts = Settlement(
        database,
        RegionTree.load(),
        SettlementSettings(),
        WorkCalendar(),
        LedgerKey(ledger_key(settings)),
        BankDesk(KilledBank(folder, boundary), keys),
    )
    if boundary == "in the middle of booking":
        settle: Callable[..., Awaitable[None]] = settling.settle

        async def killed(*arguments: Any) -> None:
            await settle(*arguments)
            die()

        settling.settle = killed  # type: ignore[assignment]
    await {"send": send, "receive": receive}[job](parts, lambda: datetime.now(UTC))
    if boundary == "marked":
        die()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
