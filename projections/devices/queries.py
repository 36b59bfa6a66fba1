"""Which devices a user has."""

from projections.devices.apply import MODEL, Device
from projections.readers import ReadModels, Shown

_COLUMNS = ", ".join(MODEL.columns)
_ALL = f"SELECT {_COLUMNS} FROM devices WHERE bank_id = :bank_id AND user_id = :user_id"
_ACTIVE = f"{_ALL} AND deleted_at IS NULL"
_ORDER = "ORDER BY coalesce(last_seen_at, registered_at) DESC, registration_id"


async def of_user(
    models: ReadModels, bank_id: str, user_id: str, *, only_active: bool
) -> Shown[list[Device]]:
    """A user's registrations, the newest login first (a device never seen: its registration).

    Raises:
        NotReadyError: the read model can't be read.
    """
    statement = f"{_ACTIVE if only_active else _ALL} {_ORDER}"
    shown = await models.read(MODEL.name, (statement, {"bank_id": bank_id, "user_id": user_id}))
    [rows] = shown.value
    return Shown([Device._make(row) for row in rows], shown.position)
