"""Who held a device at a moment of the past."""

from typing import Final

from device_ledger.wire.events import (
    DEVICE_DEACTIVATED,
    DEVICE_ERASED,
    DEVICE_LINKED,
    DEVICE_UNLINKED,
)
from device_ledger.wire.trail import Entry
from projections.readers import ReadModels, Shown
from projections.trail.apply import AUDIT

_ENDINGS: Final = [DEVICE_UNLINKED, DEVICE_DEACTIVATED, DEVICE_ERASED]

_LAST_LINK: Final = """
SELECT ref FROM trail
WHERE device_token = :device_token AND type = :linked AND at <= :moment
ORDER BY at DESC, seq DESC, ref DESC LIMIT 1
"""

# Others' registrations of the device may end too: that is nothing to who holds it.
_HOLDER: Final = f"""
SELECT {", ".join(f"link.{column}" for column in AUDIT.columns)} FROM trail AS link
WHERE link.ref = ({_LAST_LINK}) AND NOT EXISTS (
    SELECT 1 FROM trail AS ending
    WHERE ending.device_token = :device_token AND ending.type IN :endings
    AND (ending.at, ending.seq) > (link.at, link.seq) AND ending.at <= :moment
    AND ending.bank_id = link.bank_id AND ending.user_id = link.user_id
)
"""


async def holder(models: ReadModels, device_token: str, at: str) -> Shown[Entry | None]:
    """The link that held a device at a moment (RFC 3339, UTC, milliseconds), where one did.

    What was recorded in that very moment counts. The answer is the entry of the link.

    Raises:
        NotReadyError: the read model can't be read.
    """
    asked = {
        "device_token": device_token,
        "moment": at,
        "linked": DEVICE_LINKED,
        "endings": _ENDINGS,
    }
    shown = await models.read(AUDIT.name, (_HOLDER, asked), slow=True)
    [rows] = shown.value
    return Shown(Entry._make(rows[0]) if rows else None, shown.position)
