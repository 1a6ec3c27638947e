"""Encrypts all personal data under the active key: `python -m services.enrollment.rotate`.

Run it after the key document got a new active key and every process of enrollment was started again with it, or they
go on writing under the old one. It may be stopped and run again; the old key may go once it found nothing to do.
"""

from __future__ import annotations

import asyncio
import logging

from services.enrollment.app import make_parts
from services.enrollment.use_cases.rotation import reseal_batch
from shared.database import Database
from shared.regions import RegionTree
from shared.settings import Settings
from shared.telemetry import start_logging

log = logging.getLogger(__name__)


async def rotate(settings: Settings) -> int:
    """Go through all persons once; how many were encrypted anew."""
    database = Database(settings, "enrollment")
    await database.open()
    try:
        parts = make_parts(settings, database, RegionTree.load(settings.regions_file))
        resealed, person_id = 0, ""
        while True:
            last, count = await reseal_batch(parts, person_id)
            if last is None:
                return resealed
            resealed, person_id = resealed + count, last
            log.info(
                "personal data under the active key", extra={"fields": {"up_to": last, "encrypted_anew": resealed}}
            )
    finally:
        await database.close()


if __name__ == "__main__":
    settings = Settings()
    start_logging(settings.log_level)
    log.info("done", extra={"fields": {"encrypted_anew": asyncio.run(rotate(settings))}})
