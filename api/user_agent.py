"""What a user agent tells of a device, for logins whose caller sent nothing better."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeVar

import ua_parser

DeviceType = Literal["Mobile", "Tablet", "Desktop", "Other", "Unknown"]

LENGTH_MAX: Final = 512
"""Characters of a user agent that are read: it bounds the work that a caller can cause."""
VALUE_LENGTH_MAX: Final = 64
"""Characters of any one value that is taken out of a user agent."""

T = TypeVar("T")

_ENGINES = (
    ("Trident", re.compile(r"Trident/([\d.]+)")),
    ("Blink", re.compile(r"AppleWebKit/.*\b(?:Chrome|Chromium)/([\d.]+)")),
    ("WebKit", re.compile(r"AppleWebKit/([\d.]+)")),
    ("Gecko", re.compile(r"\brv:([\d.]+)\) Gecko/")),
)
_DESKTOPS = frozenset(
    (
        "Windows",
        "Mac OS X",
        "Chrome OS",
        "Linux",
        "Ubuntu",
        "Debian",
        "Fedora",
        "Arch Linux",
        "Linux Mint",
        "openSUSE",
        "FreeBSD",
        "OpenBSD",
    )
)
_PHONES = frozenset(("iOS", "Windows Phone", "HarmonyOS", "KaiOS", "BlackBerry OS", "Tizen"))
_TABLET = re.compile(r"\biPad\b|\bTablet\b|\bKindle\b|\bSilk(?!.*\bMobile\b)")
_NEITHER = re.compile(r"\b(?:TV|SmartTV|BRAVIA|AFT\w+|CrKey|GoogleTV|PlayStation|Xbox|Nintendo)\b")
_NO_BRAND = frozenset(("Generic", "Generic_Android", "Generic_Android_Tablet"))
# "K" is what Chrome says of every Android device since it stopped telling the model.
_NO_MODEL = frozenset(("K", "iOS-Device", "Smartphone", "Feature Phone", "Tablet"))


@dataclass(frozen=True, slots=True)
class Description:
    """A device as its user agent describes it.

    ``info`` has keys of the event's ``deviceInfo``, only those that are known; ``name`` is a
    name that its owner would know it by, or empty.
    """

    info: dict[str, str]
    device_type: DeviceType
    name: str


def describe(user_agent: str) -> Description:
    """Describe a device by its user agent; never raises, whatever the text.

    Callers share the answer: they copy ``info`` before they change it.
    """
    return _describe(user_agent[:LENGTH_MAX])


@lru_cache(maxsize=4096)
def _describe(text: str) -> Description:
    parsed = ua_parser.Result(
        _told(ua_parser.parse_user_agent, text),
        _told(ua_parser.parse_os, text),
        _told(ua_parser.parse_device, text),
        text,
    )
    info = {**_make(parsed.device), **_system(parsed.os), **_browser(parsed, text)}
    info = {key: value[:VALUE_LENGTH_MAX] for key, value in info.items() if value.isprintable()}
    device_type = _device_type(parsed, text)
    return Description(info, device_type, _name(info, device_type))


def _told(look: Callable[[str], T | None], text: str) -> T | None:
    """What a look tells; the parser raises where a name that it looks for is empty."""
    try:
        return look(text)
    except (TypeError, ValueError):
        return None


def _make(device: ua_parser.Device | None) -> dict[str, str]:
    if device is None or device.brand is None or device.brand == "Spider":
        return {}
    make = {} if device.brand in _NO_BRAND else {"brand": device.brand}
    if device.model and device.model not in _NO_MODEL:
        make["model"] = device.model
    return make


def _system(system: ua_parser.OS | None) -> dict[str, str]:
    if system is None:
        return {}
    version = _dotted(system.major, system.minor, system.patch)
    return {"os": system.family} | ({"osVersion": version} if version else {})


def _browser(parsed: ua_parser.Result, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    browser = parsed.user_agent
    # An app's plain HTTP client is told as a browser of its system's name.
    if browser is not None and (parsed.os is None or browser.family != parsed.os.family):
        found["browser"] = browser.family
        if version := _dotted(browser.major, browser.minor, browser.patch):
            found["browserVersion"] = version
    for engine, pattern in _ENGINES:
        if match := pattern.search(text):
            return found | {"browserEngine": engine, "browserEngineVersion": match[1]}
    return found


def _dotted(*numbers: str | None) -> str:
    return ".".join(number for number in numbers if number)


def _device_type(parsed: ua_parser.Result, text: str) -> DeviceType:
    system = parsed.os.family if parsed.os else ""
    if not (system or parsed.device or parsed.user_agent):
        return "Unknown"
    if _NEITHER.search(text) or (parsed.device and parsed.device.brand == "Spider"):
        return "Other"
    if _TABLET.search(text):
        return "Tablet"
    if system == "Android":
        # A browser on a tablet is one that leaves "Mobile" out; an app never says it.
        is_tablet = text.startswith("Mozilla/") and "Mobile" not in text
        return "Tablet" if is_tablet else "Mobile"
    if system in _PHONES or "Mobile" in text:
        return "Mobile"
    return "Desktop" if system in _DESKTOPS else "Other"


def _name(info: dict[str, str], device_type: DeviceType) -> str:
    if device_type != "Desktop" and "model" in info:
        return _model_name(info)
    system = "Mac" if info.get("os") == "Mac OS X" else info.get("os", "")
    return " on ".join(part for part in (info.get("browser", ""), system) if part)


def _model_name(info: dict[str, str]) -> str:
    brand, model = info.get("brand", ""), info["model"]
    if brand in ("", "Apple") or model.casefold().startswith(brand.casefold()):
        return model
    return f"{brand} {model}"
