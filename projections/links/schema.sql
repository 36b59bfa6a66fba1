CREATE TABLE links (
    device_token TEXT PRIMARY KEY,
    bank_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    registration_id TEXT NOT NULL,
    key_generation BIGINT NOT NULL,
    sealed_device_id TEXT NOT NULL,
    phrase_token TEXT NOT NULL,
    sealed_phrase TEXT NOT NULL,
    linked_at TEXT NOT NULL,
    model TEXT NOT NULL,
    brand TEXT NOT NULL,
    search_text TEXT NOT NULL,
    grams TEXT NOT NULL
);

CREATE INDEX links_by_time ON links (bank_id, linked_at, device_token);

-- With the time, so that a page of a customer's links is chosen before their rows are read.
CREATE INDEX links_by_customer ON links (bank_id, customer_id, device_token, linked_at);

CREATE INDEX links_by_phrase ON links (phrase_token);

CREATE TABLE counts (
    value TEXT NOT NULL,
    partition BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (value, partition)
);
