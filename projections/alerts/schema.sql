CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    arrived BIGINT NOT NULL,
    kind TEXT NOT NULL,
    rule TEXT NOT NULL,
    title TEXT NOT NULL,
    level TEXT NOT NULL,
    at TEXT NOT NULL,
    first_at TEXT NOT NULL,
    completed_by TEXT NOT NULL,
    group_values TEXT NOT NULL,
    evidence TEXT NOT NULL,
    evidence_count BIGINT NOT NULL,
    bank_id TEXT,
    device_token TEXT,
    customer_id TEXT,
    merchant_id TEXT,
    acknowledged_at TEXT,
    acknowledged_by TEXT,
    note TEXT
);

CREATE INDEX alerts_by_time ON alerts (kind, at, id);

CREATE INDEX alerts_by_bank ON alerts (bank_id, kind, at, id);

CREATE INDEX alerts_by_device ON alerts (device_token, kind, at, id);

CREATE INDEX alerts_by_rule ON alerts (rule, kind, at, id);

CREATE INDEX alerts_by_arrival ON alerts (arrived);
