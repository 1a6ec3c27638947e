"""Personal data (个人信息): encrypted at rest, found by a keyed hash, masked in answers.

- At rest: AES-256-GCM, a fresh nonce each time, the key's id in front of the text so that keys can be rotated.
- For look-up: HMAC-SHA256 under a key of its own; unkeyed, the hash of an identity number is guessed in minutes.
- In memory: hold it as pydantic's `SecretStr`, re-exported here, whose repr, str and JSON never show the value.

No exception of this module carries the text it was about, nor a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal, TypedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from stdnum.cn import ric

__all__ = [
    "KeyDocument",
    "KeysInvalid",
    "PersonalDataKeys",
    "PersonalDataUnreadable",
    "SecretStr",
    "birth_date",
    "mask_account",
    "mask_identity_number",
    "mask_name",
    "mask_phone",
    "sex",
    "valid_identity_number",
]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# The first two digits name the province-level division of first registration; 81 to 83 are residents from Hong Kong,
# Macao and Taiwan (港澳台居民居住证).
_IDENTITY_NUMBER: Final = re.compile(r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])[0-9]{15}[0-9Xx]")
# Controls, direction marks, spaces and dashes are how people lay a number out, not part of it. Private-use characters
# stay: rare characters of names are written with them.
_INVISIBLE: Final = ("Cc", "Cf")
_LAYOUT: Final = (*_INVISIBLE, "Z", "Pd")


class KeysInvalid(ValueError):
    """The key document cannot be used; the message names everything that is wrong and shows no key."""


class PersonalDataUnreadable(Exception):
    """The ciphertext is damaged, belongs to another context, or its key is not among ours."""


class KeyDocument(TypedDict):
    """The keys as they are written to a file; every key is 32 bytes in base64."""

    active: str
    """Id of the key that encrypts from now on."""
    encryption: dict[str, str]
    """All keys that can still decrypt, by id."""
    lookup: str
    """Key of the look-up hash. Changing it means computing every stored hash again."""


class PersonalDataKeys:
    """Encrypts, decrypts and hashes personal data with a deployment's keys. Safe to share between threads."""

    def __init__(self, document: Mapping[str, object]) -> None:
        """Raises KeysInvalid."""
        active, encryption, lookup = _checked(document)
        self._active = active
        self._ciphers = {key_id: AESGCM(key) for key_id, key in encryption.items()}
        self._lookup = lookup

    @classmethod
    def from_json(cls, text: str | bytes) -> PersonalDataKeys:
        """The keys of a JSON document. Raises KeysInvalid."""
        try:
            document = json.loads(text)
        except ValueError:
            # Without the cause: a JSON error carries the whole document, keys and all.
            raise KeysInvalid("the key document is not JSON") from None
        if not isinstance(document, dict):
            raise KeysInvalid("the key document is not a JSON object")
        return cls(document)

    @staticmethod
    def generate() -> KeyDocument:
        """Fresh keys for a new deployment."""
        return {"active": "k1", "encryption": {"k1": _random_key()}, "lookup": _random_key()}

    @staticmethod
    def rotated(document: KeyDocument, key_id: str) -> KeyDocument:
        """The document with a fresh active key; the old ones stay, to decrypt.

        Raises KeysInvalid when the id is taken.
        """
        if key_id in document["encryption"]:
            raise KeysInvalid(f"key id {key_id!r} is taken")
        encryption = {**document["encryption"], key_id: _random_key()}
        return {"active": key_id, "encryption": encryption, "lookup": document["lookup"]}

    def __repr__(self) -> str:
        return f"PersonalDataKeys(active={self._active!r}, ids={sorted(self._ciphers)!r})"

    def encrypt(self, text: str, *, context: str) -> str:
        """`text` under the active key, as "<key id>.<base64>".

        `context` names where it is stored ("enrollment.person.name") and is needed to decrypt: a ciphertext copied to
        another column does not open there. Raises ValueError for a lone surrogate.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._active].encrypt(nonce, _utf8(text), context.encode())
        return f"{self._active}.{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, ciphertext: str, *, context: str) -> str:
        """The text of a ciphertext made with the same context. Raises PersonalDataUnreadable."""
        key_id, sealed = self._parse(ciphertext)
        try:
            text = self._ciphers[key_id].decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except InvalidTag:
            raise PersonalDataUnreadable(f"ciphertext damaged or not of context {context!r}") from None
        return text.decode()

    def needs_rotation(self, ciphertext: str) -> bool:
        """Whether it was made with a key that is no longer the active one. Raises PersonalDataUnreadable."""
        return self._parse(ciphertext)[0] != self._active

    def lookup_hash(self, text: str) -> str:
        """A keyed hash, 64 hexadecimal digits, equal for all ways to write the same number.

        Full-width digits, lower case, spaces and dashes make no difference. Raises ValueError for a lone surrogate.
        """
        return hmac.new(self._lookup, _utf8(_normal(text)), hashlib.sha256).hexdigest()

    def _parse(self, ciphertext: str) -> tuple[str, bytes]:
        key_id, _, encoded = ciphertext.partition(".")
        if key_id not in self._ciphers:
            # The id is shown only when it looks like one: a plain text stored by mistake must not reach a log.
            raise PersonalDataUnreadable(f"no key {key_id!r}" if encoded and _KEY_ID.fullmatch(key_id) else "no key id")
        try:
            sealed = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise PersonalDataUnreadable("ciphertext is not base64") from None
        if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            raise PersonalDataUnreadable("ciphertext is cut short")
        return key_id, sealed


def valid_identity_number(text: str, *, today: date) -> bool:
    """Whether `text` is a resident identity number (公民身份号码, GB 11643) of somebody born by `today`.

    Eighteen characters as they stand on the card: the division's province, a real birth date, the check digit. The
    division itself is not looked up: `ric.is_valid` refuses whoever is older than the present code of their county.
    """
    if not _IDENTITY_NUMBER.fullmatch(text):
        return False
    if ric.calc_check_digit(text) != text[-1].upper():
        return False
    try:
        return birth_date(text) <= today
    except ValueError:
        return False


def birth_date(identity_number: str) -> date:
    """The birth date in an identity number. Raises ValueError when there is none."""
    try:
        return date(int(identity_number[6:10]), int(identity_number[10:12]), int(identity_number[12:14]))
    except ValueError:
        raise ValueError("no birth date in the identity number") from None


def sex(identity_number: str) -> Literal["male", "female"]:
    """The sex in an identity number: its seventeenth digit is odd for men. Raises ValueError when there is none."""
    try:
        return "male" if int(identity_number[16]) % 2 else "female"
    except (ValueError, IndexError):
        raise ValueError("no sex in the identity number") from None


def mask_identity_number(text: str) -> str:
    """First and last character only, "4****************X": neither birth date, nor county, nor sex can be read."""
    return _mask(text, first=1, last=1)


def mask_phone(text: str) -> str:
    """The first three and last four digits, "138****5678"."""
    return _mask(text, first=3, last=4)


def mask_account(text: str) -> str:
    """The last four digits of a bank account, "***************1234"."""
    return _mask(text, first=0, last=4)


def mask_name(text: str) -> str:
    """The last character of a name, "*芳", "**明", never its first: the family name says more.

    At most two stars, so that a foreign name's length does not show either; a one-letter name is a star. A character
    is what a reader sees as one: with its combining marks. Invisible characters are dropped, so that a right-to-left
    name cannot turn the text around it.
    """
    characters = _seen_characters(text)
    if len(characters) < 2:
        return "*" * len(characters)
    return "*" * min(len(characters) - 1, 2) + characters[-1]


def _checked(document: Mapping[str, object]) -> tuple[str, dict[str, bytes], bytes]:
    problems: list[str] = []
    named = document.get("encryption")
    keys = {str(key_id): _key(key) for key_id, key in named.items()} if isinstance(named, Mapping) else {}
    problems += [f"key id {key_id!r} is not lower-case letters and digits" for key_id in keys if not _is_key_id(key_id)]
    problems += [f"encryption key {key_id!r} is not 32 bytes in base64" for key_id, key in keys.items() if key is None]
    active, lookup = document.get("active"), _key(document.get("lookup"))
    if not isinstance(active, str) or active not in keys:
        problems.append("the active key is not among the encryption keys")
    if lookup is None:
        problems.append("the lookup key is not 32 bytes in base64")
    if lookup in keys.values():
        problems.append("the lookup key is also an encryption key")
    if problems:
        raise KeysInvalid("; ".join(problems))
    return str(active), {key_id: key for key_id, key in keys.items() if key}, lookup or b""


def _is_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def _key(encoded: object) -> bytes | None:
    """The key, or None when it is not one."""
    try:
        key = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except binascii.Error:
        return None
    return key if len(key) == _KEY_BYTES else None


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _normal(text: str) -> str:
    if text.isascii() and text.isalnum():
        return text.upper()  # nothing to put right, as in nearly all numbers: saves most of the time
    compatible = unicodedata.normalize("NFKC", text).upper()
    return "".join(c for c in compatible if not unicodedata.category(c).startswith(_LAYOUT))


def _mask(text: str, *, first: int, last: int) -> str:
    """Stars for all but the ends; all stars when fewer than four would be hidden."""
    number = _normal(text)
    hidden = len(number) - first - last
    if hidden < 4:
        return "*" * len(number)
    return number[:first] + "*" * hidden + number[len(number) - last :]


def _seen_characters(text: str) -> list[str]:
    seen: list[str] = []
    for character in unicodedata.normalize("NFC", text).strip():
        category = unicodedata.category(character)
        if seen and category.startswith("M"):
            seen[-1] += character
        elif not category.startswith(_INVISIBLE):
            seen.append(character)
    return seen


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Without the cause: it carries the text.
        raise ValueError("the text is not valid Unicode") from None
