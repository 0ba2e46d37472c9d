"""The journal's schema, as numbered steps that are never edited once released."""

__all__ = ["MIGRATIONS"]

_JOBS = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    batch TEXT NOT NULL,
    ledger_key TEXT,
    source BLOB NOT NULL,
    source_name TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    inputs TEXT NOT NULL,
    preset_id TEXT,
    preset_version TEXT,
    preset_digest TEXT,
    preset_values TEXT,
    graph TEXT,
    out_folder BLOB NOT NULL,
    relative_path BLOB NOT NULL,
    output_policy TEXT NOT NULL,
    engine_choice TEXT NOT NULL,
    server TEXT,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    engine TEXT,
    ticket TEXT,
    delivery TEXT NOT NULL DEFAULT 'pending',
    delivery_reason TEXT,
    outputs TEXT NOT NULL DEFAULT '[]',
    error_code TEXT,
    error_message TEXT,
    error_retryable INTEGER NOT NULL DEFAULT 0,
    retry_of TEXT,
    holder TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
) STRICT;
CREATE INDEX jobs_open ON jobs (holder, seq) WHERE state IN ('queued', 'processing', 'saving');
CREATE INDEX jobs_unfinished ON jobs (holder, seq)
    WHERE state IN ('completed', 'failed', 'cancelled') AND (ticket IS NOT NULL OR delivery = 'blocked');
CREATE INDEX jobs_batch ON jobs (batch, seq);
CREATE INDEX jobs_cancel ON jobs (holder) WHERE cancel_requested = 1;
"""

_LEDGER = """
CREATE TABLE hot_folders (
    id TEXT PRIMARY KEY,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sightings (
    hot_folder TEXT NOT NULL,
    path ANY NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    digest TEXT,
    key TEXT,
    generation INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    PRIMARY KEY (hot_folder, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_inode ON sightings (hot_folder, inode);
CREATE TABLE ledger (
    key TEXT PRIMARY KEY,
    hot_folder TEXT NOT NULL,
    path ANY NOT NULL,
    digest TEXT NOT NULL,
    generation INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN lineage TEXT NOT NULL DEFAULT '[]';
CREATE INDEX ledger_withdrawn ON ledger (hot_folder) WHERE withdrawn = 1;
CREATE INDEX jobs_ledger ON jobs (ledger_key, seq) WHERE ledger_key IS NOT NULL;
"""

_TWINS = """
CREATE INDEX jobs_source ON jobs (source_digest, batch);
"""

_WAITING = """
CREATE TABLE waiting (
    hot_folder TEXT NOT NULL,
    source BLOB NOT NULL,
    preset_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (hot_folder, source)
) STRICT, WITHOUT ROWID;
"""

# The journal's user_version is the number of steps taken.
MIGRATIONS: tuple[str, ...] = (_JOBS, _LEDGER, _TWINS, _WAITING)
