"""Personal data: encryption, look-up, masks, identity numbers, and that nothing of it shows by accident."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from shared.personal import (
    KeysInvalid,
    PersonalDataKeys,
    PersonalDataUnreadable,
    SecretStr,
    birth_date,
    mask_account,
    mask_identity_number,
    mask_name,
    mask_phone,
    sex,
    valid_identity_number,
)

TODAY = date(2026, 3, 2)
NAME = "enrollment.person.name"
KEY_1, KEY_2, LOOKUP = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
KEYS = PersonalDataKeys({"active": "k1", "encryption": {"k1": KEY_1}, "lookup": LOOKUP})
NUMBER = "41160219800229003X"
texts = st.text(st.characters(exclude_categories=["Cs"]))


def _identity_number(seventeen: str) -> str:
    return seventeen + ric.calc_check_digit(seventeen + "0")


# Encryption


@given(texts)
def test_what_is_encrypted_is_read_back(text: str) -> None:
    assert KEYS.decrypt(KEYS.encrypt(text, context=NAME), context=NAME) == text


def test_a_ciphertext_names_its_key_and_never_repeats() -> None:
    ciphertexts = {KEYS.encrypt("李明", context=NAME) for _ in range(100)}
    assert len(ciphertexts) == 100
    assert all(ciphertext.startswith("k1.") for ciphertext in ciphertexts)


def test_a_ciphertext_opens_only_where_it_belongs() -> None:
    ciphertext = KEYS.encrypt("李明", context=NAME)
    with pytest.raises(PersonalDataUnreadable, match="context"):
        KEYS.decrypt(ciphertext, context="enrollment.person.phone")


@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position: int, change: int) -> None:
    key_id, _, encoded = KEYS.encrypt("李明", context=NAME).partition(".")
    sealed = bytearray(base64.b64decode(encoded))
    sealed[position % len(sealed)] ^= change
    with pytest.raises(PersonalDataUnreadable):
        KEYS.decrypt(f"{key_id}.{base64.b64encode(sealed).decode()}", context=NAME)


@pytest.mark.parametrize("ciphertext", ["", "k1", "k1.", "k1.!!", "k1.AAAA", "k9.AAAA", "李明", "李明.x", "." + KEY_1])
def test_what_is_no_ciphertext_is_refused_without_being_shown(ciphertext: str) -> None:
    for ask in (lambda: KEYS.decrypt(ciphertext, context=NAME), lambda: KEYS.needs_rotation(ciphertext)):
        with pytest.raises(PersonalDataUnreadable) as refused:
            ask()
        assert "李明" not in str(refused.value)


@pytest.mark.parametrize("ask", [lambda text: KEYS.encrypt(text, context=NAME), KEYS.lookup_hash])
def test_a_lone_surrogate_is_refused_without_being_carried(ask: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="not valid Unicode") as refused:
        ask("李明\ud800")
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert "李明" not in repr(refused.value.args)


@pytest.mark.parametrize("junk", ["!", " ", "\n", "="])
def test_there_is_one_way_to_write_a_ciphertext(junk: str) -> None:
    ciphertext = KEYS.encrypt("李明", context=NAME)
    for other in (ciphertext + junk, ciphertext[:9] + junk + ciphertext[9:]):
        with pytest.raises(PersonalDataUnreadable):
            KEYS.decrypt(other, context=NAME)


def test_keys_rotate() -> None:
    first = PersonalDataKeys.generate()
    old = PersonalDataKeys(first).encrypt("李明", context=NAME)
    keys = PersonalDataKeys(PersonalDataKeys.rotated(first, "k2"))
    new = keys.encrypt(keys.decrypt(old, context=NAME), context=NAME)
    assert keys.needs_rotation(old)
    assert not keys.needs_rotation(new)
    assert new.startswith("k2.")
    assert keys.decrypt(new, context=NAME) == "李明"
    assert keys.lookup_hash(NUMBER) == PersonalDataKeys(first).lookup_hash(NUMBER)
    with pytest.raises(PersonalDataUnreadable, match="no key 'k2'"):
        PersonalDataKeys(first).decrypt(new, context=NAME)
    with pytest.raises(KeysInvalid, match="taken"):
        PersonalDataKeys.rotated(first, "k1")


def test_generated_keys_are_fresh_and_survive_a_file() -> None:
    first, second = PersonalDataKeys.generate(), PersonalDataKeys.generate()
    assert first["encryption"] != second["encryption"]
    assert first["lookup"] != second["lookup"]
    keys = PersonalDataKeys.from_json(json.dumps(first))
    assert keys.decrypt(PersonalDataKeys(first).encrypt("李明", context=NAME), context=NAME) == "李明"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "the active key is not among"),
        ({"active": "k2", "encryption": {"k1": KEY_1}, "lookup": LOOKUP}, "the active key is not among"),
        ({"active": ["k1"], "encryption": {"k1": KEY_1}, "lookup": LOOKUP}, "the active key is not among"),
        ({"active": "k1", "encryption": [KEY_1], "lookup": LOOKUP}, "the active key is not among"),
        ({"active": "k1", "encryption": {"k1": KEY_1[:-8] + "===="}, "lookup": LOOKUP}, "'k1' is not 32 bytes"),
        ({"active": "k1", "encryption": {"k1": "*" * 44}, "lookup": LOOKUP}, "'k1' is not 32 bytes"),
        ({"active": "k1", "encryption": {"k1": KEY_1, "k2": 7}, "lookup": LOOKUP}, "'k2' is not 32 bytes"),
        ({"active": "k.1", "encryption": {"k.1": KEY_1}, "lookup": LOOKUP}, "'k.1' is not lower-case"),
        ({"active": "k1", "encryption": {"k1": KEY_1}}, "the lookup key is not 32 bytes"),
        ({"active": "k1", "encryption": {"k1": KEY_1}, "lookup": KEY_1}, "also an encryption key"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(document: dict[str, object], problem: str) -> None:
    with pytest.raises(KeysInvalid, match=problem) as refused:
        PersonalDataKeys(document)
    assert KEY_1 not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"active": "k1", "encryption": "' + KEY_1, b"\xff"])
def test_a_document_that_is_not_json_is_refused_without_being_shown(text: str | bytes) -> None:
    with pytest.raises(KeysInvalid, match="is not") as refused:
        PersonalDataKeys.from_json(text)
    assert KEY_1 not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_nothing_shows_by_accident() -> None:
    shown = f"{KEYS!r} {KEYS} {SecretStr(NUMBER)!r} {SecretStr(NUMBER)}"
    assert repr(KEYS) == "PersonalDataKeys(active='k1', ids=['k1'])"
    assert NUMBER not in shown
    assert KEY_1 not in shown
    assert LOOKUP not in shown
    assert SecretStr(NUMBER).get_secret_value() == NUMBER


# Look-up


def test_a_number_is_found_however_it_is_written() -> None:
    ways = [
        NUMBER,
        NUMBER.lower(),
        f" {NUMBER}\n",
        "411602 19800229 003X",
        "411602-19800229-003x",
        "４１１６０２１９８００２２９００３Ｘ",
    ]
    assert len({KEYS.lookup_hash(way) for way in ways}) == 1


def test_the_hash_depends_on_the_number_and_on_the_key() -> None:
    other = PersonalDataKeys({"active": "k1", "encryption": {"k1": KEY_1}, "lookup": KEY_2})
    assert KEYS.lookup_hash(NUMBER) != other.lookup_hash(NUMBER)
    assert KEYS.lookup_hash(NUMBER) != KEYS.lookup_hash("411602198002290028")
    assert len(KEYS.lookup_hash(NUMBER)) == 64
    # What openssl dgst -sha256 -mac HMAC says of it.
    assert KEYS.lookup_hash(NUMBER) == "4ec4ca3ae8a72ce589551f9f57294ffa663e4e42283d0d726a6ded937d16d84f"


# Identity numbers


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("411602198002290011", "check digit"),
        ("41160219800229001", "seventeen characters"),
        ("41160219800229003XX", "nineteen characters"),
        (" 41160219800229003X", "a space"),
        ("41160219800229003X\n", "a line end"),
        ("４１１６０２１９８００２２９００３Ｘ", "full-width"),
        ("411602800229001", "the fifteen digits of before 2013"),
        ("4116021980022900IX", "a letter"),
        ("", "nothing"),
        (_identity_number("41160219810229001"), "29 February 1981"),
        (_identity_number("41160219801332001"), "month 13"),
        (_identity_number("41160200000101001"), "year 0"),
        (_identity_number("41160220260303001"), "tomorrow"),
        (_identity_number("99160219800229001"), "no such province"),
        (_identity_number("00160219800229001"), "no such province"),
    ],
)
def test_what_is_no_identity_number(text: str, why: str) -> None:
    assert not valid_identity_number(text, today=TODAY), why


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        NUMBER.lower(),
        "360426199101010071",  # the example of python-stdnum
        _identity_number("41160220260302001"),  # born today
        _identity_number("41160319500101002"),  # older than the code of the district, which ric.is_valid refuses
        _identity_number("81000019900101001"),  # Hong Kong resident
    ],
)
def test_identity_numbers(text: str) -> None:
    assert valid_identity_number(text, today=TODAY)


@given(st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_any_changed_digit_is_noticed(born: date, order: int, position: int, change: int) -> None:
    number = _identity_number(f"411602{born:%Y%m%d}{order:03d}")
    assert valid_identity_number(number, today=TODAY)
    assert birth_date(number) == born
    assert sex(number) == ("male" if order % 2 else "female")
    wrong = number[:position] + str((int(number[position]) + change) % 10) + number[position + 1 :]
    assert not valid_identity_number(wrong, today=TODAY)


@pytest.mark.parametrize("text", ["", "4116", "41160219811329001X", "abcdefghijklmnopqr"])
def test_what_has_no_birth_date_says_so_without_showing_itself(text: str) -> None:
    with pytest.raises(ValueError, match=r"^no birth date in the identity number$"):
        birth_date(text)


@pytest.mark.parametrize("text", ["", "4116", "abcdefghijklmnopqr"])
def test_what_has_no_sex_says_so_without_showing_itself(text: str) -> None:
    with pytest.raises(ValueError, match=r"^no sex in the identity number$"):
        sex(text)


# Masks


@pytest.mark.parametrize(
    ("mask", "text", "masked"),
    [
        (mask_identity_number, "41160219800229003X", "4****************X"),
        (mask_identity_number, "E12345678", "E*******8"),
        (mask_identity_number, "12345", "*****"),
        (mask_identity_number, "", ""),
        (mask_phone, "13812345678", "138****5678"),
        (mask_phone, "138 1234 5678", "138****5678"),
        (mask_phone, "138-1234-5678", "138****5678"),
        (mask_phone, "66123456", "********"),
        (mask_phone, "110", "***"),
        (mask_account, "6222021234567890123", "***************0123"),
        (mask_account, "6222 0212 3456 7890 123", "***************0123"),
        (mask_account, "1234567", "*******"),
        (mask_name, "李明", "*明"),
        (mask_name, "欧阳振华", "**华"),
        (mask_name, "张三丰", "**丰"),
        (mask_name, "李", "*"),
        (mask_name, "", ""),
        (mask_name, "  ", ""),
        (mask_name, " 李明 ", "*明"),
        (mask_name, "古丽巴哈尔·买买提", "**提"),
        (mask_name, "Maximilian Oppenheimer", "**r"),
        (mask_name, "Jose\u0301", "**\u00e9"),
        (mask_name, "Zoe\u0308 Q\u0323\u0307", "**Q\u0323\u0307"),
        (mask_name, "محمد", "**د"),
        (mask_name, "\u202eمحمد\u202c", "**د"),
        (mask_name, "李\u202e明", "*明"),
        (mask_name, "李\u200d\u202e明\u200d", "*明"),
        (mask_name, "李\ue000", "*\ue000"),  # a rare character in the private-use area
        (mask_name, "李\U00030edd", "*\U00030edd"),
    ],
)
def test_masks_an_officer_can_check(mask: Callable[[str], str], text: str, masked: str) -> None:
    assert mask(text) == masked


@given(texts)
def test_a_name_shows_at_most_its_last_character(text: str) -> None:
    masked = mask_name(text)
    shown = masked.lstrip("*")
    assert len([c for c in shown if not unicodedata.category(c).startswith("M")]) <= 1
    assert not masked or masked.startswith("*")


@given(texts)
def test_a_mask_never_turns_the_text_around_it(text: str) -> None:
    for mask in (mask_name, mask_phone, mask_account, mask_identity_number):
        assert not any(
            c in mask(text) for c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\n\x00"
        )


@given(st.text("0123456789", max_size=30))
def test_a_number_hides_at_least_four_digits_or_all(number: str) -> None:
    for mask in (mask_phone, mask_account, mask_identity_number):
        masked = mask(number)
        assert len(masked) == len(number)
        assert masked.count("*") >= min(4, len(number))
