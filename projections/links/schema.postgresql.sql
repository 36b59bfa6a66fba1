-- The grams as the index has them. Searches read the list of what is not yet in the index, too, so
-- that is kept short (kB).
ALTER TABLE links ADD COLUMN words TSVECTOR NOT NULL
    GENERATED ALWAYS AS (array_to_tsvector(string_to_array(grams, ' '))) STORED;

CREATE INDEX links_by_words ON links USING gin (words) WITH (gin_pending_list_limit = 512);
