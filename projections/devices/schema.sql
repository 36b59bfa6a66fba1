CREATE TABLE devices (
    registration_id TEXT PRIMARY KEY,
    device_token TEXT NOT NULL,
    bank_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_generation BIGINT NOT NULL,
    sealed_device_id TEXT NOT NULL,
    info TEXT NOT NULL,
    type TEXT,
    sealed_name TEXT,
    sealed_address TEXT,
    registered_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    last_seen_at TEXT,
    deleted_at TEXT
);

CREATE INDEX devices_of_user ON devices (bank_id, user_id);
