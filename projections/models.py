"""All read models."""

from projections.devices.apply import MODEL as DEVICES
from projections.links.apply import MODEL as LINKS
from projections.lookup.apply import MODEL as LOOKUP

MODELS = (LOOKUP, DEVICES, LINKS)
