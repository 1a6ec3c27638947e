"""Where webhooks may be sent: never into our own network by a partner's wish (SSRF).

The form of an address is checked when it is subscribed, what its name resolves to at every connection: a name may
point elsewhere tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from services.notification import errors
from shared.refusals import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<target>/[!$-;=?-Z_a-z~]*)?",
    re.ASCII,
)
_SPECIAL: Final[Sequence[Network]] = [
    ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
    )
]
"""Ranges that the language's `is_global` lets through, in some versions: assigned to protocols, or IPv6 addresses that
stand for an IPv4 one which a gateway may connect to."""


@dataclass(frozen=True, slots=True)
class Url:
    """An address to post to, in its parts."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port, as the header Host says them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What this deployment sends to: public addresses, the networks named, and on one machine (local) loopback."""

    networks: Sequence[Network]
    local: bool

    def allows(self, address: Address) -> bool:
        """Whether something may be sent to a network address."""
        address = _inner(address)
        if _within(address, self.networks):
            return True
        if self.local and address.is_loopback:
            return True
        return address.is_global and not address.is_multicast and not _within(address, _SPECIAL)

    def check(self, url: str) -> list[Refusal]:
        """What speaks against an address, as far as it can be seen without resolving its name."""
        parsed = parse(url)
        if parsed is None:
            return [errors.URL_MALFORMED(pointer="/url")]
        wrong = []
        if parsed.scheme != "https" and not (self.local and _is_loopback(parsed.host)):
            wrong.append(errors.URL_NOT_HTTPS(pointer="/url"))
        literal = _literal(parsed.host)
        if literal is not None and not self.allows(literal):
            wrong.append(errors.ADDRESS_NOT_ALLOWED(pointer="/url", address=str(literal)))
        return wrong


def parse(url: str) -> Url | None:
    """The parts of an address; None when it is not one we would post to."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, port = match["scheme"], int(match["port"] or 0)
    if port > 65535 or len(match["host"]) > 253 or (match["host"].startswith("[") and _literal(match["host"]) is None):
        return None
    return Url(
        scheme, match["host"].strip("[]").lower(), port or (443 if scheme == "https" else 80), match["target"] or "/"
    )


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    literal = _literal(host)
    return host == "localhost" if literal is None else literal.is_loopback


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (::ffff:127.0.0.1)."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
