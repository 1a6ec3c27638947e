"""Where webhooks may go: public addresses, and private ones only by this deployment's own word."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import httpcore
import pytest

from services.notification.rules.addresses import AddressPolicy, Url, parse
from services.notification.rules.delivery import Outcome, Result
from services.notification.use_cases.webhooks import AddressForbidden, GuardedNetwork, Partners, Post
from tests.services.notification.receiver import receiving

PRODUCTION = AddressPolicy((), local=False)
LOCAL = AddressPolicy((), local=True)

FORBIDDEN = [
    "127.0.0.1", "127.8.8.8", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_nothing_goes_inside(address: str) -> None:
    assert not PRODUCTION.allows(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "223.5.5.5", "172.32.0.1", "2400:3200::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert PRODUCTION.allows(ip_address(address))


def test_on_one_machine_loopback_is_allowed_and_nothing_else_private() -> None:
    allowed = {address for address in FORBIDDEN if LOCAL.allows(ip_address(address))}

    assert allowed == {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"}


def test_a_named_network_is_allowed() -> None:
    policy = AddressPolicy((ip_network("10.20.0.0/16"), ip_network("fd12:3456::/32")), local=False)

    assert policy.allows(ip_address("10.20.3.4"))
    assert policy.allows(ip_address("::ffff:10.20.3.4"))
    assert policy.allows(ip_address("fd12:3456::1"))
    assert not policy.allows(ip_address("10.21.3.4"))
    assert not policy.allows(ip_address("fd12:3457::1"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://partner.example", Url("https", "partner.example", 443, "/")),
        ("https://Partner.Example:8443/a/b?c=d&e=%20", Url("https", "partner.example", 8443, "/a/b?c=d&e=%20")),
        ("http://127.0.0.1:9000/x", Url("http", "127.0.0.1", 9000, "/x")),
        ("https://[2400:3200::1]/x", Url("https", "2400:3200::1", 443, "/x")),
        ("https://xn--fiq228c.example/", Url("https", "xn--fiq228c.example", 443, "/")),
    ],
)
def test_parts_of_an_address(url: str, expected: Url) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "", "partner.example", "ftp://partner.example/", "https://", "https:///x", "//partner.example/",
        "HTTPS://partner.example/", "https://user@partner.example/", "https://user:pw@partner.example/",
        "https://partner.example/#f", "https://partner.example:0/", "https://partner.example:65536/",
        "https://partner.example:99999/", "https://partner.example?x=y", "https://partner.example/a b",
        "https://partner.example/\r\nX: y", "https://partner.example\\@evil/", "https://中国.example/",
        "https://[::1", "https://[::zz]/", "https://-a.example/", "https://a..example/",
        "https://.example/", "https://a_b.example/", f"https://{'a' * 64}.example/", f"https://{'a.' * 130}example/",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    assert parse(url) is None
    assert [r.code for r in PRODUCTION.check(url)] == ["notification.url-malformed"]


@pytest.mark.parametrize(
    ("url", "policy", "codes"),
    [
        ("https://partner.example/", PRODUCTION, []),
        ("http://partner.example/", PRODUCTION, ["url-not-https"]),
        ("http://partner.example/", LOCAL, ["url-not-https"]),
        ("http://127.0.0.1:9000/", LOCAL, []),
        ("http://localhost:9000/", LOCAL, []),
        ("http://[::1]:9000/", LOCAL, []),
        ("http://127.0.0.1:9000/", PRODUCTION, ["url-not-https", "address-not-allowed"]),
        ("https://127.0.0.1/", PRODUCTION, ["address-not-allowed"]),
        ("https://[::ffff:10.0.0.1]/", PRODUCTION, ["address-not-allowed"]),
        ("http://10.0.0.1/", LOCAL, ["url-not-https", "address-not-allowed"]),
        ("https://169.254.169.254/latest/meta-data", LOCAL, ["address-not-allowed"]),
    ],
)
def test_what_a_subscription_may_name(url: str, policy: AddressPolicy, codes: list[str]) -> None:
    assert [r.code for r in policy.check(url)] == [f"notification.{code}" for code in codes]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "::1"])
async def test_the_check_is_made_at_the_connection(host: str) -> None:
    """Names and odd spellings of addresses are known for what they are only when they are resolved."""
    with pytest.raises(AddressForbidden):
        await GuardedNetwork(PRODUCTION).connect_tcp(host, 9, timeout=1)


async def test_a_forbidden_address_is_a_failed_attempt() -> None:
    posts = [Post(f"m{number}", "https://localhost:9/", "whsec_x", b"{}", None) for number in range(9)]

    results = await Partners(PRODUCTION, timeout_s=2, concurrency=4).deliver(posts)

    # Nobody answers there: what was not begun is left for later.
    assert results == [Result(Outcome.FAILED, "address-not-allowed", answered=False)] * 4 + [None] * 5


async def test_a_post_that_cannot_be_made_stops_no_other() -> None:
    with receiving() as receiver:
        posts = [Post("bad", receiver.url, "\ud800", b"{}", None), Post("good", receiver.url, "whsec_x", b"{}", None)]

        bad, good = await Partners(LOCAL, timeout_s=5, concurrency=1).deliver(posts)

    assert bad == Result(Outcome.FAILED, "error")
    assert good == Result(Outcome.DELIVERED, "http-204")


async def test_a_slow_partner_is_a_failed_attempt() -> None:
    with receiving() as receiver:
        receiver.released.clear()

        (result,) = await Partners(LOCAL, timeout_s=0.3, concurrency=1).deliver(
            [Post("m", receiver.url, "whsec_x", b"{}", None)]
        )

    assert result == Result(Outcome.FAILED, "timeout", answered=False)


async def test_an_allowed_address_is_connected_to(unused_tcp_port: int) -> None:
    with pytest.raises(httpcore.ConnectError):
        await GuardedNetwork(LOCAL).connect_tcp("localhost", unused_tcp_port, timeout=1)
