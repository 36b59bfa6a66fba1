"""An export, from the selection to the written file."""

from typing import BinaryIO

import orjson

from device_ledger.settings import Settings
from projections.alerts import queries
from projections.alerts.apply import ALERT, AlertRow
from projections.archive.reader import MOMENT, moment, text
from projections.export.selection import Selection
from projections.export.source import ExportError, Report, Source
from projections.export.writers import FORMATS, entries_of
from projections.readers import NotReadyError, open_read_models


async def find_alert(settings: Settings, alert_id: str, bank_id: str | None) -> AlertRow:
    """An alert of the read model; none of another bank, where one is given.

    Raises:
        ExportError: there is none, or the read model can't be read.
    """
    models = await open_read_models(settings)
    try:
        found = (await queries.find(models, alert_id, bank_id=bank_id)).value
    except NotReadyError:
        raise ExportError("the alerts can't be read: `device-ledger status` says why") from None
    finally:
        await models.close()
    if found is None or found.kind != ALERT:
        raise ExportError("there is no such alert")
    return found


def evidence_of(alert: AlertRow) -> Selection:
    """The lines that an alert names: the newest 100 of its evidence."""
    after = text(moment(alert.at) + MOMENT)
    refs = tuple(orjson.loads(alert.evidence))
    return Selection(since=alert.first_at, until=after, refs=refs)


def export(
    source: Source,
    selection: Selection,
    to: tuple[str, BinaryIO],
    report: Report,
    alert: AlertRow | None = None,
) -> int:
    """Write the selected lines as ``(format, file)``; how many there were. With an alert the
    document begins with it, and the lines are to be its evidence.

    Raises:
        ExportError: the trail can't be read.
        OSError: the file can't be written.
    """
    name, out = to
    writer = FORMATS[name](out)
    batches = source.batches(selection, report)
    if alert is not None:
        held = list(batches)
        writer.alert(alert, [entry for batch in held for entry in entries_of(batch)])
        batches = iter(held)
    count = 0
    for batch in batches:
        writer.lines(batch)
        count += batch.num_rows
    writer.close()
    return count
