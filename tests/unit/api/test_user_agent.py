"""What user agents tell: real ones, as phones, tablets, desktops and programs send them."""

import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from api.user_agent import LENGTH_MAX, VALUE_LENGTH_MAX, Description, describe
from device_ledger.wire.events import DeviceInfo

SAMPLES = Path(__file__).parents[2] / "samples" / "user_agents.json"
REAL: list[dict[str, Any]] = json.loads(SAMPLES.read_text())


@pytest.mark.parametrize("real", REAL, ids=lambda real: real["userAgent"][:60])
def test_a_real_user_agent_is_described(real: dict[str, Any]) -> None:
    assert describe(real["userAgent"]) == Description(
        real["deviceInfo"], real["deviceType"], real["deviceName"]
    )


def test_every_key_of_info_is_one_that_events_have() -> None:
    assert {key for real in REAL for key in real["deviceInfo"]} <= set(get_type_hints(DeviceInfo))


@pytest.mark.parametrize("text", ["", " ", "nothing", "-", "\ud800", "\x00" * 40, "a;" * 4000])
def test_what_is_no_user_agent_is_unknown(text: str) -> None:
    assert describe(text) == Description({}, "Unknown", "")


def test_what_stands_beyond_the_length_limit_is_not_read() -> None:
    assert describe(" " * LENGTH_MAX + "curl/8.6.0") == Description({}, "Unknown", "")


def test_a_value_is_cut_at_its_limit() -> None:
    told = describe(f"Dalvik/2.1.0 (Linux; U; Android 13; Pixel {'9' * 90} Build/TQ3A.230901.001)")
    assert told.info["model"] == ("Pixel " + "9" * 90)[:VALUE_LENGTH_MAX]


def test_a_value_that_can_not_be_printed_is_left_out() -> None:
    told = describe("Dalvik/2.1.0 (Linux; U; Android 13; Pixel \x1b[31m Build/TQ3A.230901.001)")
    assert told.info == {"brand": "Google", "os": "Android", "osVersion": "13"}


@pytest.mark.parametrize("nameless", ["  ", "  ) "])
def test_a_device_that_is_named_by_nothing_leaves_the_rest_told(nameless: str) -> None:
    text = f"Mozilla/5.0 (Linux; Android 10;{nameless}) Chrome/66.0.3359.158 Mobile Safari/537.36"
    told = describe(text)
    assert (told.device_type, told.info["os"], told.info["browser"]) == (
        "Mobile",
        "Android",
        "Chrome Mobile",
    )
