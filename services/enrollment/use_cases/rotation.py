"""Encrypts personal data anew after the key was changed (密钥轮换), a batch of persons at a time."""

from __future__ import annotations

from services.enrollment.store import people as store
from services.enrollment.store.people import SealedData
from services.enrollment.use_cases.parts import Enrollment


async def reseal_batch(parts: Enrollment, after: str) -> tuple[str | None, int]:
    """Bring the persons that follow one under the active key.

    Returns the last person looked at, None when there was none, and how many were encrypted anew. Raises
    PersonalDataUnreadable when a key that is still in use is not among the keys.
    """
    async with parts.database.read() as reader:
        looked_at = await store.sealed_after(reader, after, parts.settings.rotation_batch_rows)
    if not looked_at:
        return None, 0
    old = [person.person_id for person in looked_at if _is_old(parts, person)]
    if old:
        async with parts.database.transaction() as tx:
            # Read again under the lock: somebody may have changed the person in between.
            await store.reseal(tx, [_resealed(parts, person) for person in await store.sealed_locked(tx, old)])
    return looked_at[-1].person_id, len(old)


def _is_old(parts: Enrollment, person: SealedData) -> bool:
    sealed = (person.identity_number, person.name, person.phone, person.bank_account)
    return any(parts.keys.needs_rotation(text) for text in sealed if text is not None)


def _resealed(parts: Enrollment, person: SealedData) -> SealedData:
    def again(column: str, text: str) -> str:
        return parts.seal(column, parts.unseal(column, text))

    return SealedData(
        person.person_id,
        again("identity_number", person.identity_number),
        again("name", person.name),
        None if person.phone is None else again("phone", person.phone),
        None if person.bank_account is None else again("bank_account", person.bank_account),
    )
