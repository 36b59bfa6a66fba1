"""What a replay comes to, beside the alerts of then."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from device_ledger.wire.alerts import AlertRecord
from projections.archive.trail import Trail
from projections.detection.evaluate import FoundAlert
from projections.detector.told import Told
from projections.replay.replaying import Range


@dataclass(frozen=True, slots=True)
class Comparison:
    """``found`` by the replay, those of them that were ``known`` then, and those that are ``gone``;
    ``late`` are the range's records that had come too late for the alerts of then."""

    asked: Range
    rules: tuple[str, ...]
    entries: int
    found: tuple[FoundAlert, ...]
    known: frozenset[str]
    gone: tuple[AlertRecord, ...]
    late: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As JSON: see docs/operations.md, Replay."""
        alerts = [
            {"id": one.id, **one.data(), "was": "same" if one.id in self.known else "new"}
            for one in self.found
        ]
        counts = {
            "new": len(self.found) - len(self.known),
            "gone": len(self.gone),
            "same": len(self.known),
        }
        return {
            "from": self.asked.start,
            "to": self.asked.end,
            "rules": list(self.rules),
            "entries": self.entries,
            "alerts": alerts,
            "gone": [{"id": one.id, **one.data} for one in self.gone],
            "counts": counts,
            "late": {"count": len(self.late), "refs": list(self.late)},
        }


def compare(
    trail: Trail,
    asked: Range,
    rules: Sequence[str],
    replayed: tuple[int, Sequence[FoundAlert]],
    then: Told,
    *,
    bank_id: str | None,
) -> Comparison:
    """Compare with what was told of these rules and this time, of one bank where one is given."""
    entries, found = replayed
    ids = {alert.id for alert in found}
    of_then = [
        record
        for record in then.alerts.values()
        if _is_asked_for(record, asked, rules) and bank_id in {None, record.data.get("bankId")}
    ]
    gone = sorted(
        (record for record in of_then if record.id not in ids), key=lambda one: one.data["at"]
    )
    return Comparison(
        asked,
        tuple(rules),
        entries,
        tuple(found),
        frozenset(record.id for record in of_then if record.id in ids),
        tuple(gone),
        tuple(_late(trail, asked, then.late)),
    )


def _is_asked_for(record: AlertRecord, asked: Range, rules: Collection[str]) -> bool:
    return record.data["rule"] in rules and asked.holds(record.data["at"])


def _late(trail: Trail, asked: Range, refs: Collection[str]) -> list[str]:
    trail.show(asked.start, asked.end)
    there = trail.which(refs)
    return [ref for ref, at in there if asked.holds(at)]
