CREATE TABLE IF NOT EXISTS ledger_identity (
    ledger_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    partitions INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS partition_heads (
    partition INTEGER PRIMARY KEY,
    last_id INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS receipts (
    receipt_id TEXT PRIMARY KEY,
    body_hash TEXT NOT NULL,
    answer BLOB NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS receipts_by_expiry ON receipts (expires_at);

CREATE INDEX IF NOT EXISTS erasures ON stored_events (topic)
    WHERE topic = 'erasure.ordered.v1';
