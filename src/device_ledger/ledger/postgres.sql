CREATE TABLE IF NOT EXISTS ledger_identity (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ledger_id text NOT NULL,
    epoch integer NOT NULL,
    partitions integer NOT NULL
);

CREATE TABLE IF NOT EXISTS partition_heads (
    partition integer PRIMARY KEY,
    last_id bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS receipts (
    receipt_id text PRIMARY KEY,
    body_hash text NOT NULL,
    answer bytea NOT NULL,
    expires_at text NOT NULL
);

CREATE INDEX IF NOT EXISTS receipts_by_expiry ON receipts (expires_at);

CREATE INDEX IF NOT EXISTS erasures ON device_ledger_events (notification_id)
    WHERE topic = 'erasure.ordered.v1';
