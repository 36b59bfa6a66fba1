CREATE VIRTUAL TABLE links_text USING fts5 (
    search_text, content='links', tokenize='trigram case_sensitive 1'
);

CREATE TRIGGER links_text_added AFTER INSERT ON links BEGIN
    INSERT INTO links_text (rowid, search_text) VALUES (new.rowid, new.search_text);
END;

CREATE TRIGGER links_text_changed AFTER UPDATE OF search_text ON links
WHEN old.search_text <> new.search_text BEGIN
    INSERT INTO links_text (links_text, rowid, search_text)
    VALUES ('delete', old.rowid, old.search_text);
    INSERT INTO links_text (rowid, search_text) VALUES (new.rowid, new.search_text);
END;

CREATE TRIGGER links_text_removed AFTER DELETE ON links BEGIN
    INSERT INTO links_text (links_text, rowid, search_text)
    VALUES ('delete', old.rowid, old.search_text);
END;
