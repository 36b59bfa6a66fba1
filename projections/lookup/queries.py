"""Which customer a device is linked to."""

from collections.abc import Sequence

from projections.lookup.apply import MODEL, Lookup
from projections.readers import ReadModels, Shown

_COLUMNS = ", ".join(MODEL.columns)
_ONE = f"SELECT {_COLUMNS} FROM lookup WHERE device_token = :token"
_MANY = f"SELECT {_COLUMNS} FROM lookup WHERE device_token IN :tokens"


async def find(models: ReadModels, device_token: str) -> Shown[Lookup | None]:
    """The device's link, where it has one.

    Raises:
        NotReadyError: the read model can't be read.
    """
    shown = await models.read(MODEL.name, (_ONE, {"token": device_token}))
    [rows] = shown.value
    return Shown(Lookup._make(rows[0]) if rows else None, shown.position)


async def find_many(models: ReadModels, device_tokens: Sequence[str]) -> Shown[dict[str, Lookup]]:
    """The links of those devices that have one, by device token.

    Raises:
        NotReadyError: the read model can't be read.
    """
    shown = await models.read(MODEL.name, (_MANY, {"tokens": list(device_tokens)}))
    [rows] = shown.value
    return Shown({row[0]: Lookup._make(row) for row in rows}, shown.position)
