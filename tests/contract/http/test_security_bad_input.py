"""Bad questions to the trail: a problem that names the field and never repeats the value."""

from typing import Any

import pytest

from tests.contract.http.test_security_search import search
from tests.support.trail import Trail

DEVICE_RULE = "deviceId or deviceToken is needed, one of them"
DEVICE_ID_RULE = (
    "deviceId must be 1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = -, one a letter or digit"
)


@pytest.mark.parametrize(
    ("body", "detail", "field"),
    [
        ({"limit": 0}, "limit: Input should be greater than or equal to 1", "limit"),
        ({"limit": 201}, "limit: Input should be less than or equal to 200", "limit"),
        ({"device": {}}, DEVICE_RULE, "device"),
        ({"device": {"deviceId": "d", "deviceToken": "D" * 43}}, DEVICE_RULE, "device"),
        ({"device": {"deviceId": "?"}}, DEVICE_ID_RULE, "device.deviceId"),
        ({"device": {"deviceToken": "short"}}, "device.deviceToken is not valid", None),
        ({"customerId": "c"}, "customerId needs bankId", "customerId"),
        ({"userId": "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"}, "userId needs bankId", "userId"),
        ({"userId": "me", "bankId": "b"}, "userId is not valid", "userId"),
        ({"types": ["device.stolen.v1"]}, "types must be types of events or access records", None),
        ({"types": []}, "types: List should have at least 1 item after validation, not 0", None),
        (
            {"outcome": "lost"},
            "outcome: Input should be 'done', 'refused', 'found' or 'not-found'",
            "outcome",
        ),
        ({"order": "up"}, "order: Input should be 'newest' or 'oldest'", "order"),
        (
            {"from": "yesterday"},
            "from must be a date and time as in RFC 3339, with its offset",
            "from",
        ),
        (
            {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            "to must be after from",
            "to",
        ),
        ({"reveal": True}, "reason is missing: reveal needs one", None),
        (
            {"reveal": True, "reason": ""},
            "reason: String should have at least 1 character",
            "reason",
        ),
        (
            {"reveal": True, "reason": "r" * 257},
            "reason: String should have at most 256 characters",
            "reason",
        ),
        ({"actor": "a\n"}, "actor must be printable characters", "actor"),
        ({"secret-7": 1}, "The request has a field that is not known", None),
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field(
    trail: Trail, body: dict[str, Any], detail: str, field: str | None
) -> None:
    response = await search(trail.api, **body)
    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["detail"]) == (400, detail)
    assert problem == {
        "type": "urn:device-ledger:problem:bad-input",
        "title": "Bad request",
        "status": 400,
        "detail": detail,
        "code": "bad-input",
    } | ({"field": problem["field"]} if "field" in problem else {})
    assert field in {None, problem.get("field")}
