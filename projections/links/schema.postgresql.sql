CREATE INDEX links_by_text ON links USING gin (search_text gin_trgm_ops);

CREATE INDEX links_by_grams ON links USING gin (string_to_array(grams, ' '));
