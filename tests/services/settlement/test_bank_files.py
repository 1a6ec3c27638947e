"""Files to and from the bank: what is written, what is read and what is not, and the folder that carries them."""

from __future__ import annotations

import copy
import itertools
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local import bank as small_bank
from services.settlement.bank.adapter import FileChanged, FolderBank
from services.settlement.bank.reading import read
from services.settlement.bank.writing import FileInvalid, write
from services.settlement.rules.banking import (
    AccountMessage,
    AccountReport,
    BankLine,
    Batch,
    Closing,
    Creditor,
    Fault,
    Instruction,
    MessageFaulty,
    StatusLine,
    StatusReport,
    check_account,
)

DAY = date(2026, 11, 5)
OWN = Creditor("项城市医保中心", "410101600000012345", "102508000017")
THEIRS = Creditor("李<&>某", "6222020200112233446", "102508000018")
BATCH = Batch(
    "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    datetime(2026, 11, 5, 3, 4, 5, 678, tzinfo=UTC),
    DAY,
    "411681",
    OWN,
    [
        Instruction("01KAJ5T1D4GQ7X8Z2V3N4M5P7A", 123_456, THEIRS, "payout 01KAJ5T1D4GQ7X8Z2V3N4M5P7B"),
        Instruction("01KAJ5T1D4GQ7X8Z2V3N4M5P7C", 1, OWN, "hop 01KAJ5T1D4GQ7X8Z2V3N4M5P7D"),
    ],
)


def test_a_file_says_what_was_ordered() -> None:
    asked = small_bank.read(write(BATCH))

    assert asked == small_bank.PaymentFile(
        BATCH.batch_id,
        OWN.account_no,
        [small_bank.Transfer(i.order_id, i.amount_fen, i.creditor.account_no) for i in BATCH.instructions],
    )
    text = write(BATCH).decode()
    assert "<CtrlSum>1234.57</CtrlSum>" in text
    assert "<NbOfTxs>2</NbOfTxs>" in text
    assert '<InstdAmt Ccy="CNY">1234.56</InstdAmt>' in text
    assert "<Nm>李&lt;&amp;&gt;某</Nm>" in text


def test_a_file_is_the_same_every_time() -> None:
    assert write(BATCH) == write(BATCH)


@pytest.mark.parametrize(
    "wrong",
    [
        Instruction("x" * 36, 1, THEIRS, "too long an id"),
        Instruction("01KAJ5T1D4GQ7X8Z2V3N4M5P7A", -1, THEIRS, "negative"),
        Instruction("01KAJ5T1D4GQ7X8Z2V3N4M5P7A", 1, THEIRS._replace(holder="某" * 141), "too long a name"),
        Instruction("01KAJ5T1D4GQ7X8Z2V3N4M5P7A", 1, THEIRS._replace(account_no=""), "no account"),
    ],
    ids=lambda instruction: instruction.remittance,
)
def test_what_the_schema_forbids_never_leaves(wrong: Instruction) -> None:
    batch = Batch(BATCH.batch_id, BATCH.created_at, DAY, "411681", OWN, [wrong])
    with pytest.raises(FileInvalid) as refused:
        write(batch)
    assert THEIRS.holder not in str(refused.value)
    assert THEIRS.account_no not in str(refused.value)


def test_a_status_report_is_read() -> None:
    text = small_bank.status_report(
        "S1", BATCH.batch_id, [small_bank._status_line("A", "ACSP"), small_bank._status_line("B", "RJCT", "AC04")]
    )

    report = read(text.encode())

    lines = [StatusLine("A", "ACSP", None), StatusLine("B", "RJCT", "AC04")]
    assert report == StatusReport("S1", BATCH.batch_id, lines)
    whole = read(small_bank.status_report("S2", BATCH.batch_id, [], "RJCT").encode())
    assert whole == StatusReport("S2", BATCH.batch_id, [StatusLine(None, "RJCT", None)])


def test_entries_and_the_closing_balance_are_read() -> None:
    entries = [
        small_bank.entry("R1", "A", 123_456, DAY),
        small_bank.entry("R2", "A", 56, DAY, debit=False, reason="AC04"),
        small_bank.entry("R3", None, 10**13, DAY),
    ]

    notified = read(small_bank.notification("N1", OWN.account_no, entries, DAY).encode())
    stated = read(small_bank.statement("M1", OWN.account_no, entries[:1], DAY, -500).encode())

    lines = [
        BankLine("R1", "A", True, 123_456, DAY, None),
        BankLine("R2", "A", False, 56, DAY, "AC04"),
        BankLine("R3", "", True, 10**13, DAY, None),
    ]
    assert notified == AccountMessage("camt.054", "N1", [AccountReport(OWN.account_no, lines, None)])
    closing = Closing(DAY, -500)
    assert stated == AccountMessage("camt.053", "M1", [AccountReport(OWN.account_no, lines[:1], closing)])


GOOD = small_bank.notification("N1", OWN.account_no, [small_bank.entry("R1", "A", 100, DAY)], DAY)
NAMELESS = GOOD.replace("<AcctSvcrRef>R1</AcctSvcrRef>", "").replace("<EndToEndId>A</EndToEndId>", "")
BOMB = '<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'
EXTERNAL = '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NOT_XML),
        ("\x00", Fault.NOT_XML),
        (GOOD[:-20], Fault.NOT_XML),
        (BOMB + GOOD, Fault.ENTITIES),
        (EXTERNAL + GOOD, Fault.ENTITIES),
        ('<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd">' + GOOD, Fault.ENTITIES),
        (GOOD.replace("camt.054.001.08", "camt.054.001.02"), Fault.NAMESPACE),
        (GOOD.replace(' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"', ""), Fault.NAMESPACE),
        (write(BATCH).decode(), Fault.NAMESPACE),
        (NAMELESS, Fault.STRUCTURE),
        (GOOD.replace("<BookgDt><Dt>2026-11-05</Dt></BookgDt>", ""), Fault.STRUCTURE),
        (GOOD.replace("<Dt>2026-11-05</Dt>", "<Dt>2026-02-31</Dt>"), Fault.STRUCTURE),
        (GOOD.replace("<MsgId>N1</MsgId>", ""), Fault.STRUCTURE),
        (GOOD.replace("DBIT", "DEBT"), Fault.STRUCTURE),
        (GOOD.replace("<Sts>", "<Surprise>1</Surprise><Sts>"), Fault.STRUCTURE),
        (GOOD.replace("<Sts>", "<a>" * 70 + "</a>" * 70 + "<Sts>"), Fault.STRUCTURE),
        (GOOD.replace("<Cd>BOOK</Cd>", "<Cd>DONE</Cd>"), Fault.STRUCTURE),
        (GOOD.replace("<Cd>BOOK</Cd>", ""), Fault.STRUCTURE),
        (GOOD.replace("CNY", "USD"), Fault.CURRENCY),
        (GOOD.replace("</Id></Acct>", "</Id><Ccy>USD</Ccy></Acct>"), Fault.CURRENCY),
        (GOOD.replace(">1.00<", ">1.001<"), Fault.AMOUNT),
        (GOOD.replace(">1.00<", ">-1.00<"), Fault.AMOUNT),
        (GOOD.replace(">1.00<", ">NaN<"), Fault.AMOUNT),
        (GOOD.replace(">1.00<", ">99999999999999999<"), Fault.AMOUNT),
        (GOOD.replace(">1.00<", ">one<"), Fault.STRUCTURE),
    ],
)
def test_what_is_wrong_with_a_file_is_named(text: str, fault: Fault) -> None:
    with pytest.raises(MessageFaulty) as refused:
        read(text.encode())
    assert refused.value.fault is fault


def test_what_is_only_announced_is_left_out() -> None:
    message = read(GOOD.replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>").encode())
    assert isinstance(message, AccountMessage)
    assert message.reports[0].lines == []


def test_transactions_of_an_entry_add_up_to_it() -> None:
    """One entry for many transactions: each is a line, and an entry that says otherwise is refused."""
    one = GOOD[GOOD.index("<TxDtls>") : GOOD.index("</NtryDtls>")]
    two = GOOD.replace(one, one + one.replace(">A<", ">B<"))
    with pytest.raises(MessageFaulty) as refused:
        read(two.encode())
    assert refused.value.fault is Fault.AMOUNT
    message = read(two.replace('<Ntry><Amt Ccy="CNY">1.00', '<Ntry><Amt Ccy="CNY">2.00').encode())
    assert isinstance(message, AccountMessage)
    assert [line.end_to_end_id for line in message.reports[0].lines] == ["A", "B"]


@given(st.binary(max_size=300))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    with pytest.raises(MessageFaulty):
        read(content)


@given(st.integers(0, len(GOOD)), st.text(max_size=20))
def test_no_change_of_a_good_file_breaks_the_reader(place: int, text: str) -> None:
    changed = (GOOD[:place] + text + GOOD[place + len(text) :]).encode(errors="replace")
    with suppress(MessageFaulty):
        assert isinstance(read(changed), AccountMessage)


# The folder


def test_a_file_is_handed_over_once(tmp_path: Path) -> None:
    bank = FolderBank(tmp_path / "bank")

    for _ in range(3):
        bank.put("a.xml", b"one")
    bank.retire("a.xml")
    bank.put("a.xml", b"one")

    assert [file.name for file in (tmp_path / "bank" / "outbox").iterdir()] == []
    assert (tmp_path / "bank" / "sent" / "a.xml").read_bytes() == b"one"
    with pytest.raises(FileChanged):
        bank.put("a.xml", b"two")
    bank.put("b.xml", b"one")
    with pytest.raises(FileChanged):
        bank.put("b.xml", b"two")
    assert (tmp_path / "bank" / "outbox" / "b.xml").read_bytes() == b"one"


def test_only_the_owner_reads_a_payment_file(tmp_path: Path) -> None:
    FolderBank(tmp_path / "bank").put("a.xml", b"one")
    file = tmp_path / "bank" / "outbox" / "a.xml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_answers_are_read_and_put_away(tmp_path: Path) -> None:
    bank = FolderBank(tmp_path)
    assert bank.waiting() == []
    inbox = tmp_path / "inbox"
    for name in ("b.xml", "a.xml", ".half.xml"):
        (inbox / name).write_bytes(b"12345")

    assert bank.waiting() == ["a.xml", "b.xml"]
    assert bank.read("a.xml", 5) == b"12345"
    bank.done("a.xml")
    bank.done("a.xml")
    bank.refuse("b.xml", "not_xml")

    assert bank.waiting() == []
    assert (tmp_path / "done" / "a.xml").exists()
    assert (tmp_path / "rejected" / "b.xml.why").read_text() == "not_xml\n"


def test_what_is_no_plain_file_of_a_plain_name_is_not_read(tmp_path: Path) -> None:
    bank = FolderBank(tmp_path)
    bank.waiting()
    inbox = tmp_path / "inbox"
    (tmp_path / "secret.xml").write_bytes(b"secret")
    (inbox / "link.xml").symlink_to(tmp_path / "secret.xml")
    (inbox / "folder.xml").mkdir()
    (inbox / "large.xml").write_bytes(b"123456")
    for name, fault in (
        ("link.xml", Fault.NAME),
        ("folder.xml", Fault.NAME),
        ("../secret.xml", Fault.NAME),
        ("a.txt", Fault.NAME),
        ("large.xml", Fault.TOO_LARGE),
    ):
        with pytest.raises(MessageFaulty) as refused:
            bank.read(name, 5)
        assert refused.value.fault is fault, name
    with pytest.raises(FileNotFoundError):
        bank.read("gone.xml", 5)


@pytest.mark.parametrize(
    ("account_no", "bank_code", "card", "codes"),
    [
        ("6222020200112233446", "102508000017", True, []),
        ("6222020200112233441", "102508000017", True, ["settlement.account-invalid"]),
        ("622202020011223344", "102508000017", True, ["settlement.account-invalid"]),
        ("41010160", "102508000017", False, []),
        ("4101016", "10250800001", False, ["settlement.account-invalid", "settlement.bank-code-invalid"]),
        ("41010160x", "102508000017", False, ["settlement.account-invalid"]),
        ("６２２２020200112233440", "102508000017", False, ["settlement.account-invalid"]),
    ],
)
def test_numbers_of_accounts(account_no: str, bank_code: str, card: bool, codes: list[str]) -> None:
    assert [refusal.code for refusal in check_account(account_no, bank_code, card=card)] == codes


SOUND = {
    "notification": small_bank.notification(
        "N1",
        OWN.account_no,
        [small_bank.entry("R1", "A", 100, DAY), small_bank.entry("R2", "A", 56, DAY, debit=False, reason="AC04")],
        DAY,
    ),
    "statement": small_bank.statement("M1", OWN.account_no, [small_bank.entry("R1", "A", 100, DAY)], DAY, -500),
    "status": small_bank.status_report("S1", "B1", [small_bank._status_line("B", "RJCT", "AC04")], "ACCP"),
}


def _mutated(text: str) -> Iterator[tuple[str, bytes]]:
    """The message with each of its elements left out, emptied, doubled, or with nonsense in it."""
    whole = ElementTree.fromstring(text)  # noqa: S314 - the test wrote it
    for number, how in itertools.product(range(1, len(list(whole.iter()))), ("without", "empty", "nonsense", "twice")):
        root = copy.deepcopy(whole)
        element = list(root.iter())[number]
        parent = next(one for one in root.iter() if element in list(one))
        name = element.tag.partition("}")[2]
        if how == "without":
            parent.remove(element)
        elif how == "twice":
            parent.append(copy.deepcopy(element))
        else:
            element.clear()
            element.text = "\u202e=1+1" if how == "nonsense" else None
        yield f"{how} {name}", ElementTree.tostring(root)


@pytest.mark.parametrize("kind", SOUND)
def test_a_message_with_any_defect_is_understood_or_refused(kind: str) -> None:
    """Never another error: such a file would be read again for ever."""
    refused: dict[str, str] = {}
    for what, content in _mutated(SOUND[kind]):
        try:
            read(content)
        except MessageFaulty as faulty:
            refused.setdefault(what, str(faulty))

    assert not any("=1+1" in detail for detail in refused.values())
    assert refused["without MsgId"] == "structure: MsgId is missing"
    if kind != "status":
        assert refused["without Amt"] == "structure: Amt is missing"
        assert refused["empty CdtDbtInd"] == "structure: CdtDbtInd is missing"
        assert refused["without Sts"] == "structure: Sts is missing"
        assert refused["empty Dt"] == "structure: Dt is missing"
