"""Rules that small histories fire: three links of a user, three misses of a merchant."""

from pathlib import Path

LINKS = """\
title: Links
name: a-link
id: 6f2a1f6e-6a0a-4b52-9a55-0a3f3f1f9d01
status: test
logsource: {product: device-ledger, service: events}
detection:
  link: {type: device.linked.v1}
  condition: link
---
title: Three links of one user
id: 6f2a1f6e-6a0a-4b52-9a55-0a3f3f1f9d02
status: test
level: high
correlation:
  type: event_count
  rules: [a-link]
  group-by: [user_id]
  timespan: 1h
  condition: {gte: 3}
"""

MISSES = """\
title: Misses
name: a-miss
id: 6f2a1f6e-6a0a-4b52-9a55-0a3f3f1f9e01
status: test
logsource: {product: device-ledger, service: access}
detection:
  miss: {type: device.looked_up.v1, outcome: not-found}
  condition: miss
---
title: Three misses of one merchant
id: 6f2a1f6e-6a0a-4b52-9a55-0a3f3f1f9e02
status: test
level: low
correlation:
  type: event_count
  rules: [a-miss]
  group-by: [merchant_id]
  timespan: 1h
  condition: {gte: 3}
"""


def write_rules(folder: Path, **texts: str) -> Path:
    """Put rules into a folder, by name; by default both."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (texts or {"links": LINKS, "misses": MISSES}).items():
        (folder / f"{name}.yml").write_text(text)
    return folder
