"""Times as people type them."""

from datetime import UTC, datetime

import pytest

from device_ledger.cli.times import as_text, moment

NOW = datetime(2026, 3, 1, 9, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("now", "2026-03-01T09:30:15.250Z"),
        ("today", "2026-03-01T00:00:00.000Z"),
        ("Yesterday", "2026-02-28T00:00:00.000Z"),
        ("90m", "2026-03-01T08:00:15.250Z"),
        ("24h ago", "2026-02-28T09:30:15.250Z"),
        ("7d", "2026-02-22T09:30:15.250Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
        ("2026-01-31T09:30:00.123+01:00", "2026-01-31T08:30:00.123Z"),
        ("2026-01-31t09:30:00z", "2026-01-31T09:30:00.000Z"),
    ],
)
def test_words_are_times(words: str, meant: str) -> None:
    assert as_text(moment(words, NOW)) == meant


@pytest.mark.parametrize("words", ["", "soon", "2026-13-01", "2026-01-31T09:30:00", "7 weeks"])
def test_other_words_are_none(words: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment(words, NOW)
