"""The tables that trees lie in."""

from typing import Final

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS log_trees (
        log TEXT PRIMARY KEY,
        size BIGINT NOT NULL,
        position BIGINT NOT NULL,
        verifier TEXT NOT NULL,
        epoch BIGINT NOT NULL DEFAULT 1)""",
    """CREATE TABLE IF NOT EXISTS log_tiles (
        log TEXT NOT NULL,
        level INTEGER NOT NULL,
        place BIGINT NOT NULL,
        hashes {bytes} NOT NULL,
        PRIMARY KEY (log, level, place))""",
    """CREATE TABLE IF NOT EXISTS log_events (
        place BIGINT PRIMARY KEY, first_id BIGINT NOT NULL UNIQUE, ids {bytes} NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS log_access (
        ref TEXT PRIMARY KEY, leaf BIGINT NOT NULL, bank_id TEXT)""",
    """CREATE TABLE IF NOT EXISTS log_checkpoints (
        log TEXT NOT NULL,
        size BIGINT NOT NULL,
        note TEXT NOT NULL,
        topic_offset BIGINT,
        PRIMARY KEY (log, size))""",
    """CREATE INDEX IF NOT EXISTS log_checkpoints_unpublished
        ON log_checkpoints (log, size) WHERE topic_offset IS NULL""",
    "CREATE INDEX IF NOT EXISTS log_checkpoints_offset ON log_checkpoints (topic_offset)",
)
