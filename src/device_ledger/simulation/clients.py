"""The browsers and apps that customers use: user agents as the real ones send them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

DeviceType = Literal["mobile", "tablet", "desktop"]

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
_ANDROID_MODELS = (
    *("SM-S928B", "SM-S918B", "SM-A546B", "SM-A155F", "SM-G991B", "Pixel 8 Pro", "Pixel 7a"),
    *("Pixel 9", "2201117TG", "M2101K6G", "CPH2449", "moto g54 5G", "NE2213", "XQ-DC54"),
)
_ANDROID_TABLETS = ("SM-X910", "SM-X200", "SM-T870", "Lenovo TB-J606F", "Pixel Tablet")
_FIRST_CHROME, _LAST_CHROME = 118, 131


@dataclass(frozen=True, slots=True)
class Client:
    """A browser or app on a device; the names and versions are those of its user agent."""

    user_agent: str
    browser: str
    system: str
    device_type: DeviceType


def some_client(random: Random) -> Client:
    """A client as common among the customers of banks as in real life, roughly."""
    [make] = random.choices(tuple(_SHARES), tuple(_SHARES.values()))
    return make(random)


def _iphone_safari(random: Random) -> Client:
    version = _ios(random)
    return Client(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {version.replace('.', '_')} like Mac OS X) "
        f"{_WEBKIT} Version/{version} Mobile/15E148 Safari/604.1",
        f"Mobile Safari {version}",
        f"iOS {version}",
        "mobile",
    )


def _ipad(random: Random) -> Client:
    version = _ios(random)
    return Client(
        f"Mozilla/5.0 (iPad; CPU OS {version.replace('.', '_')} like Mac OS X) "
        f"{_WEBKIT} Version/{version} Mobile/15E148 Safari/604.1",
        f"Mobile Safari {version}",
        f"iOS {version}",
        "tablet",
    )


def _iphone_app(random: Random) -> Client:
    version, app = _ios(random), _app_version(random)
    return Client(
        f"Bank/{app} (iPhone; iOS {version}; Scale/3.00)", f"Bank {app}", f"iOS {version}", "mobile"
    )


def _android_app(random: Random) -> Client:
    version, app = random.choice(("12", "13", "14", "15")), _app_version(random)
    model = random.choice(_ANDROID_MODELS)
    return Client(
        f"Bank/{app} (Linux; U; Android {version}; {model} Build/AP1A.240505.005)",
        f"Bank {app}",
        f"Android {version}",
        "mobile",
    )


def _android_chrome(random: Random) -> Client:
    version, chrome = random.choice(("11", "12", "13", "14", "15")), _chrome(random)
    model = random.choice(_ANDROID_MODELS)
    return Client(
        f"Mozilla/5.0 (Linux; Android {version}; {model}) {_BLINK} "
        f"Chrome/{chrome} Mobile Safari/537.36",
        f"Chrome Mobile {chrome}",
        f"Android {version}",
        "mobile",
    )


def _android_tablet(random: Random) -> Client:
    version, chrome = random.choice(("11", "12", "13", "14")), _chrome(random)
    model = random.choice(_ANDROID_TABLETS)
    return Client(
        f"Mozilla/5.0 (Linux; Android {version}; {model}) {_BLINK} Chrome/{chrome} Safari/537.36",
        f"Chrome {chrome}",
        f"Android {version}",
        "tablet",
    )


def _windows(random: Random) -> Client:
    chrome = _chrome(random)
    firefox = f"{random.randrange(_FIRST_CHROME, _LAST_CHROME)}.0"
    start = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
    blink = f"{start}) {_BLINK} Chrome/{chrome} Safari/537.36"
    user_agent, browser = random.choices(
        (
            (blink, f"Chrome {chrome}"),
            (f"{blink} Edg/{chrome}", f"Edge {chrome}"),
            (f"{start}; rv:{firefox}) Gecko/20100101 Firefox/{firefox}", f"Firefox {firefox}"),
        ),
        (60, 30, 10),
    )[0]
    return Client(user_agent, browser, "Windows 10", "desktop")


def _mac(random: Random) -> Client:
    start, chrome = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", _chrome(random)
    safari = random.choice(("16.6", "17.4.1", "17.6", "18.1"))
    user_agent, browser = random.choice(
        (
            (f"{start} {_WEBKIT} Version/{safari} Safari/605.1.15", f"Safari {safari}"),
            (f"{start} {_BLINK} Chrome/{chrome} Safari/537.36", f"Chrome {chrome}"),
        )
    )
    return Client(user_agent, browser, "Mac OS X 10.15.7", "desktop")


def _linux(random: Random) -> Client:
    version = f"{random.randrange(_FIRST_CHROME, _LAST_CHROME)}.0"
    return Client(
        f"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:{version}) Gecko/20100101 Firefox/{version}",
        f"Firefox {version}",
        "Ubuntu",
        "desktop",
    )


def _ios(random: Random) -> str:
    return random.choice(("16.6.1", "17.4.1", "17.5.1", "17.6.1", "18.0.1", "18.1"))


def _app_version(random: Random) -> str:
    return f"{random.randrange(6, 9)}.{random.randrange(20)}.{random.randrange(4)}"


def _chrome(random: Random) -> str:
    return f"{random.randrange(_FIRST_CHROME, _LAST_CHROME)}.0.0.0"


_SHARES: dict[Callable[[Random], Client], int] = {
    _iphone_safari: 20,
    _windows: 20,
    _android_chrome: 19,
    _iphone_app: 14,
    _android_app: 12,
    _mac: 7,
    _ipad: 4,
    _android_tablet: 2,
    _linux: 2,
}
