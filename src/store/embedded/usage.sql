-- Usage counts, by the names that production's have in Redis: hash, field, count.
CREATE TABLE embedded_usage (
    key   TEXT NOT NULL,
    field INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (key, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX embedded_usage_field_idx ON embedded_usage (field);
