"""The requests of the banks, merchants and users that the benchmark plays."""

from typing import Final

from bench.load import Generator, request
from bench.system import System

LINKING_CONNECTIONS: Final = 128
FOLLOW_RATE: Final = 100
_USER_AGENT: Final = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Mobile Safari/537.36"
)


def link(system: System, name: str, customer: str = "") -> bytes:
    """The command that links a device of this name, by default to a customer of its own."""
    body = {
        "customerId": customer or f"customer-{name}",
        "phrase": f"blue horse {customer or name}",
        "deviceId": name,
    }
    return request("POST", "/v1/bank/customer/device/link", system.bank, body)


def lookup(token: str, name: str) -> bytes:
    """A merchant's question for a device of this name."""
    return request("POST", "/v1/customer/device/lookup", token, {"deviceId": name})


def link_all(system: System, generator: Generator, links: list[bytes], last: str) -> None:
    """Send the links, then one of a device ``last``, and wait until a lookup shows that one.

    All are shown then.
    """
    generator.send_all(system.port, links, LINKING_CONNECTIONS)
    pair = (link(system, last), lookup(system.merchants[0], last))
    generator.follow(system.port, [pair], FOLLOW_RATE)


def login_seen(system: System, name: str, customer: str) -> bytes:
    """The command that tells of a login on a device of this name."""
    body = {
        "customerId": customer,
        "deviceId": name,
        "ipAddress": "198.51.100.7",
        "userAgent": _USER_AGENT,
    }
    return request("POST", "/v1/bank/customer/device/login-seen", system.bank, body)


def deactivate(system: System, name: str, customer: str) -> bytes:
    """The command that ends a device's registration and link."""
    body = {"customerId": customer, "deviceId": name}
    return request("POST", "/v1/bank/customer/device/deactivate", system.bank, body)
