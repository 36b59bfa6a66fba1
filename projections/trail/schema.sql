CREATE TABLE trail (
    ref TEXT PRIMARY KEY,
    log TEXT NOT NULL,
    at TEXT NOT NULL,
    seq BIGINT NOT NULL,
    type TEXT NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT,
    command TEXT,
    device_token TEXT,
    bank_id TEXT,
    customer_id TEXT,
    user_id TEXT,
    merchant_id TEXT,
    registration_id TEXT,
    caller TEXT,
    actor TEXT,
    client TEXT,
    request_id TEXT,
    phrase_token TEXT,
    name_token TEXT,
    address_token TEXT,
    country TEXT,
    cell TEXT,
    device_type TEXT,
    brand TEXT,
    model TEXT,
    os TEXT,
    route TEXT,
    count BIGINT,
    about TEXT,
    reason TEXT
);

-- Each ends with the order of the trail. Columns before it that a search doesn't name (type,
-- outcome) have few values: it looks at each, and merges.

CREATE INDEX trail_by_type ON trail (type, outcome, at, seq, ref);

CREATE INDEX trail_by_bank ON trail (bank_id, type, outcome, at, seq, ref);

CREATE INDEX trail_by_device ON trail (device_token, type, at, seq, ref)
WHERE device_token IS NOT NULL;

CREATE INDEX trail_by_bank_and_device ON trail (bank_id, device_token, at, seq, ref)
WHERE device_token IS NOT NULL;

CREATE INDEX trail_by_customer ON trail (bank_id, customer_id, at, seq, ref)
WHERE customer_id IS NOT NULL;

CREATE INDEX trail_by_user ON trail (bank_id, user_id, at, seq, ref)
WHERE user_id IS NOT NULL;

CREATE INDEX trail_by_actor ON trail (actor, outcome, at, seq, ref)
WHERE actor IS NOT NULL;

CREATE INDEX trail_by_bank_and_actor ON trail (bank_id, actor, outcome, at, seq, ref)
WHERE actor IS NOT NULL;

CREATE INDEX trail_by_merchant ON trail (merchant_id, outcome, at, seq, ref)
WHERE merchant_id IS NOT NULL;

CREATE INDEX trail_by_bank_and_merchant ON trail (bank_id, merchant_id, outcome, at, seq, ref)
WHERE merchant_id IS NOT NULL;
