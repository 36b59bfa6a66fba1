-- A token is a gram; all of ASCII that isn't a space belongs to it. The lists of prefixes are read
-- as far as is asked, as those of whole grams are.
CREATE VIRTUAL TABLE links_text USING fts5 (
    grams,
    content='links',
    detail=none,
    prefix='1 2 3 4 5',
    tokenize="ascii tokenchars '!""#$%&''()*+,-./:;<=>?@[\]^_`{|}~'"
);

CREATE TRIGGER links_text_added AFTER INSERT ON links BEGIN
    INSERT INTO links_text (rowid, grams) VALUES (new.rowid, new.grams);
END;

CREATE TRIGGER links_text_changed AFTER UPDATE OF grams ON links
WHEN old.grams <> new.grams BEGIN
    INSERT INTO links_text (links_text, rowid, grams) VALUES ('delete', old.rowid, old.grams);
    INSERT INTO links_text (rowid, grams) VALUES (new.rowid, new.grams);
END;

CREATE TRIGGER links_text_removed AFTER DELETE ON links BEGIN
    INSERT INTO links_text (links_text, rowid, grams) VALUES ('delete', old.rowid, old.grams);
END;
