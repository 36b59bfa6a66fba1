"""Which alerts were raised: pages of them, one, and those that came after another."""

from dataclasses import dataclass
from typing import Any, Final

from projections.alerts.apply import ALERT, LATE, MODEL, AlertRow
from projections.readers import ReadModels, Shown

_COLUMNS: Final = ", ".join(MODEL.columns)
_EQUAL: Final = ("rule", "level", "bank_id", "device_token", "customer_id")


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts: those that agree with all that is not ``None``.

    With a ``bank_id`` only alerts all of whose evidence is that bank's. ``since`` and ``until``
    (RFC 3339, UTC, milliseconds) hold ``since <= at < until``.
    """

    rule: str | None = None
    level: str | None = None
    bank_id: str | None = None
    device_token: str | None = None
    customer_id: str | None = None
    acknowledged: bool | None = None
    since: str | None = None
    until: str | None = None


async def page(
    models: ReadModels, filtered: AlertFilter, *, after: tuple[str, str] | None = None, limit: int
) -> Shown[list[AlertRow]]:
    """Alerts, the newest first. ``after`` goes on behind the alert of that ``(at, id)``.

    Raises:
        NotReadyError: the read model can't be read.
    """
    where, values = _conditions(filtered)
    if after:
        where += " AND (at, id) < (:after_at, :after_id)"
        values |= {"after_at": after[0], "after_id": after[1]}
    return await _select(models, f"{where} ORDER BY at DESC, id DESC", values, limit)


async def find(
    models: ReadModels, alert_id: str, *, bank_id: str | None = None
) -> Shown[AlertRow | None]:
    """One alert; none of another bank, where one is given.

    Raises:
        NotReadyError: the read model can't be read.
    """
    where, values = _conditions(AlertFilter(bank_id=bank_id))
    shown = await _select(models, f"{where} AND id = :id", values | {"id": alert_id}, 1)
    return Shown(shown.value[0] if shown.value else None, shown.position)


async def since(
    models: ReadModels, arrived: int, filtered: AlertFilter, *, limit: int
) -> Shown[list[AlertRow]]:
    """Alerts that came to the topic after the one of that ``arrived``, in the order they came.

    Raises:
        NotReadyError: the read model can't be read.
    """
    where, values = _conditions(filtered, leading=False)
    text = f"{where} AND arrived > :arrived ORDER BY arrived"
    return await _select(models, text, values | {"arrived": arrived}, limit)


async def late(
    models: ReadModels, *, after: tuple[str, str] | None = None, limit: int
) -> Shown[list[AlertRow]]:
    """Notices of records that the detector had passed before they came, the newest first.

    Raises:
        NotReadyError: the read model can't be read.
    """
    at, notice = after or ("~", "")
    text = f"kind = '{LATE}' AND (at, id) < (:at, :id) ORDER BY at DESC, id DESC"
    return await _select(models, text, {"at": at, "id": notice}, limit)


async def _select(
    models: ReadModels, where: str, values: dict[str, Any], limit: int
) -> Shown[list[AlertRow]]:
    text = f"SELECT {_COLUMNS} FROM alerts WHERE {where} LIMIT :most"
    shown = await models.read(MODEL.name, (text, values | {"most": limit}), slow=True)
    [rows] = shown.value
    return Shown([AlertRow._make(row) for row in rows], shown.position)


def _conditions(filtered: AlertFilter, *, leading: bool = True) -> tuple[str, dict[str, Any]]:
    """Conditions and their values; those that are not ``leading`` are kept from an index."""
    values: dict[str, Any] = {"kind": ALERT}
    values |= {c: value for c in _EQUAL if (value := getattr(filtered, c)) is not None}
    indexed = "" if leading else " || ''"
    where = [f"{column}{indexed} = :{column}" for column in values]
    where += ["at >= :since", "at < :until"]
    values |= {"since": filtered.since or "", "until": filtered.until or "~"}
    if filtered.acknowledged is not None:
        where.append(f"acknowledged_at IS {'NOT ' if filtered.acknowledged else ''}NULL")
    return " AND ".join(where), values
