"""The case that an export begins with is found where the API finds it."""

import pytest

from projections.export.run import evidence_of, find_alert
from projections.export.source import ExportError
from tests.contract.http.conftest import ON_BOTH
from tests.support.trail import AT, Trail

AFTER = AT.replace(".000Z", ".001Z")


@ON_BOTH
async def test_an_alert_is_found_with_its_evidence(trail: Trail) -> None:
    raised = await trail.alert("device-farm", "4", evidence=["2", "4"], bankId="bank-1")
    settings = trail.api.settings
    found = await find_alert(settings, raised, "bank-1")
    selection = evidence_of(found)
    assert (found.id, selection.refs) == (raised, ("2", "4"))
    assert (selection.since, selection.until) == (AT, AFTER)


async def test_an_alert_of_another_bank_is_none(trail: Trail) -> None:
    raised = await trail.alert("device-farm", "4", bankId="bank-1")
    for alert_id, bank_id in ((raised, "bank-2"), ("00000000-0000-4000-8000-000000000000", None)):
        with pytest.raises(ExportError, match="there is no such alert"):
            await find_alert(trail.api.settings, alert_id, bank_id)
