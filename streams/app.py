"""The Faust app: one consumer group, and an agent for each read model.

Faust delivers; it is trusted with nothing else. Tables, leader election, topic creation and the
web server are off; offsets are committed after the rows (`streams.feed`).
"""

from collections.abc import Mapping
from pathlib import Path

import faust

from device_ledger.wire.topics import ACCESS, ALERTS, EVENTS
from projections.live import Live
from projections.topic import GROUP
from streams.access import add_access
from streams.alerts import add_alerts
from streams.audit import add_audit
from streams.devices import add_devices
from streams.links import add_links
from streams.lookup import add_lookup

SESSION_SECONDS = 8.0
"""After so long without a heartbeat a worker's partitions go to the others."""

METADATA_SECONDS = 5.0
"""After so long a worker looks again which partitions there are."""


def create_app(
    bootstrap_servers: str, name: str, data: Path, projectors: Mapping[str, Live]
) -> faust.App:
    """The app of one worker; `name` tells it from the others and must stay its own."""
    app = faust.App(
        GROUP,
        broker=";".join(f"kafka://{server}" for server in bootstrap_servers.split(",")),
        datadir=data,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        consumer_group_instance_id=name,
        consumer_auto_offset_reset="earliest",
        # No tables: Kafka's own round robin hands out the partitions.
        table_standby_replicas=0,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=SESSION_SECONDS / 4,
        broker_commit_interval=1.0,
        # A topic that was made anew is asked for by nobody else once the group has lost it.
        consumer_metadata_max_age_ms=int(METADATA_SECONDS * 1_000),
        # A worker leaves as it came: what is not acknowledged is read again.
        stream_wait_empty=False,
    )
    events, accesses, alerts = (
        app.topic(topic, key_type=bytes, value_type=bytes) for topic in (EVENTS, ACCESS, ALERTS)
    )
    add_lookup(app, events, projectors["lookup"])
    add_devices(app, events, projectors["devices"])
    add_links(app, events, projectors["links"])
    add_audit(app, events, projectors["audit"])
    add_access(app, accesses, projectors["access"])
    add_alerts(app, alerts, projectors["alerts"])
    return app
