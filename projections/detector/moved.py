"""Alerts of a time that was evaluated before, since records of it came late."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from device_ledger.wire.alerts import AlertRecord
from projections.detection.evaluate import FoundAlert


def untold(
    found: Sequence[FoundAlert], told: Iterable[AlertRecord], after: str
) -> list[FoundAlert]:
    """Of all alerts found after a time those to tell: neither told, nor told and moved since.

    A group of entries may be complete at an earlier entry with what came late. Its alert is another
    one then, by its id, though people know it already: so many of a group's are left out as were
    told of it and are not found any more.
    """
    ids = {alert.id for alert in found}
    known = {record.id: record.data for record in told if record.data["at"] > after}
    moved = Counter(_group(data) for key, data in known.items() if key not in ids)
    new = []
    for alert in found:
        if alert.id in known:
            continue
        group = _group(alert.data())
        if moved[group] > 0:
            moved[group] -= 1
        else:
            new.append(alert)
    return new


def _group(data: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    return data["rule"], tuple(sorted(data["group"].items()))
