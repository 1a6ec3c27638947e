"""The bank (银企直联): payment files out, answers in, as ISO 20022 has them, and the adapter that carries the files.

The libraries behind the files take longer to load than the rest of the service, which shall be back at once when it was
killed: they are loaded with the first file, in the thread that writes or reads it.
"""

from __future__ import annotations

from services.settlement.rules.banking import AccountMessage, Batch, StatusReport


def write(batch: Batch) -> bytes:
    """The payment file of a batch. Raises services.settlement.bank.writing.FileInvalid."""
    from services.settlement.bank import writing

    return writing.write(batch)


def read(content: bytes) -> StatusReport | AccountMessage:
    """What a file from the bank says. Raises services.settlement.rules.banking.MessageFaulty."""
    from services.settlement.bank import reading

    return reading.read(content)
