"""Making a store look like an older copy, as a restore by other means than ours leaves it."""

from device_ledger.ledger.ledger import EventStore
from device_ledger.settings import Settings
from device_ledger.wire.codec import decode, partition_of, public_bytes
from tests.support.topic_check import stored_events


def forget_after(settings: Settings, last_id: int) -> None:
    """Remove what came after an event, as if it never had been: ids after it are given again."""
    is_postgres = bool(settings.event_store_url.get_secret_value())
    table = "device_ledger_events" if is_postgres else "stored_events"
    key = "notification_id" if is_postgres else "rowid"
    events = EventStore.open(settings)
    datastore = events.recorder.datastore  # type: ignore[attr-defined]
    with datastore.transaction(commit=True) as c:
        c.execute(f"DELETE FROM {table} WHERE {key} > {last_id}")
        c.execute("DELETE FROM partition_heads")
        if is_postgres:
            c.execute(f"SELECT setval('{table}_{key}_seq', {last_id})")
    kept = [decode(public_bytes(one.id, one.state)) for one in stored_events(events)]
    heads = {partition_of(one.subject, events.identity.partitions): one.id for one in kept}
    with datastore.transaction(commit=True) as c:
        for partition, head in heads.items():
            c.execute(f"INSERT INTO partition_heads VALUES ({partition}, {head})")
    events.close()
