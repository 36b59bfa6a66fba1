"""Which alerts of a time that is evaluated again are new."""

from device_ledger.wire.alerts import ALERT_RAISED, AlertRecord, alert_id
from projections.detection.evaluate import FoundAlert
from projections.detector.moved import untold


def found(second: int, group: str = "a", rule: str = "links") -> FoundAlert:
    """An alert of a group, completed by the entry of that second."""
    at, ref = f"2026-03-01T00:00:{second:02}.000Z", f"{group}{second}"
    groups = {"user_id": group}
    key = alert_id(rule, groups, ref)
    return FoundAlert(key, rule, rule, "high", at, at, ref, groups, (ref,), 1)


def told(second: int, group: str = "a", rule: str = "links") -> AlertRecord:
    """The record of such an alert."""
    alert = found(second, group, rule)
    return AlertRecord(alert.id, "", ALERT_RAISED, alert.at, dict(alert.data()))


BEFORE = "2026-03-01T00:00:00.999Z"


def test_what_was_told_is_not_told_again() -> None:
    assert untold([found(1), found(2, "b")], [told(1)], BEFORE) == [found(2, "b")]


def test_what_moved_is_known_already() -> None:
    assert untold([found(3)], [told(5)], BEFORE) == []


def test_one_that_moved_hides_no_other() -> None:
    again = [found(3), found(4, "b"), found(4, rule="misses"), found(9)]
    assert untold(again, [told(5)], BEFORE) == again[1:]


def test_what_was_told_of_an_earlier_time_has_not_moved() -> None:
    assert untold([found(3)], [told(0)], BEFORE) == [found(3)]
