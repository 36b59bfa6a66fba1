CREATE INDEX links_by_text ON links USING gin (search_text gin_trgm_ops);
