CREATE TABLE lookup (
    device_token TEXT PRIMARY KEY,
    bank_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    registration_id TEXT NOT NULL,
    key_generation BIGINT NOT NULL,
    sealed_device_id TEXT NOT NULL,
    sealed_phrase TEXT NOT NULL,
    linked_at TEXT NOT NULL
);
