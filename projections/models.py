"""All read models."""

from projections.alerts.apply import MODEL as ALERTS
from projections.devices.apply import MODEL as DEVICES
from projections.links.apply import MODEL as LINKS
from projections.lookup.apply import MODEL as LOOKUP
from projections.model import ReadModel
from projections.trail.apply import ACCESS, AUDIT

MODELS: tuple[ReadModel, ...] = (LOOKUP, DEVICES, LINKS, AUDIT, ACCESS, ALERTS)

HURRIED = LOOKUP
"""What a merchant waits for at the counter: no other read model holds it up."""

LARGE = (LINKS, AUDIT, ACCESS)
"""What takes long to read in bulk: those take turns."""

TOPICS = tuple(dict.fromkeys(model.topic for model in MODELS))
"""The topics that they are made from."""
