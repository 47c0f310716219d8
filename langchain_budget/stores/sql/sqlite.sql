-- The books of langchain-budget in SQLite, version 1.
CREATE TABLE budget_meta (
  "schema" INTEGER NOT NULL
) STRICT;

CREATE TABLE budget_books (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE budget_accounts (
  book INTEGER NOT NULL,
  path TEXT NOT NULL,
  version INTEGER NOT NULL,
  frozen TEXT NOT NULL,
  closed INTEGER NOT NULL,
  expires_at REAL,
  body TEXT NOT NULL,
  PRIMARY KEY (book, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_mortal_accounts ON budget_accounts (book, expires_at)
  WHERE expires_at IS NOT NULL AND closed = 0;

CREATE TABLE budget_ceilings (
  book INTEGER NOT NULL,
  account TEXT NOT NULL,
  "limit" TEXT NOT NULL,
  granted INTEGER NOT NULL,
  PRIMARY KEY (book, account, "limit")
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_counters (
  id INTEGER PRIMARY KEY,
  book INTEGER NOT NULL,
  account TEXT NOT NULL,
  unit TEXT NOT NULL,
  "window" TEXT NOT NULL,
  granted INTEGER,
  held INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  lent INTEGER NOT NULL,
  UNIQUE (book, account, unit, "window")
) STRICT;

CREATE TABLE budget_holds (
  book INTEGER NOT NULL,
  id TEXT NOT NULL,
  account TEXT NOT NULL,
  opened_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  status TEXT NOT NULL,
  basis TEXT NOT NULL,
  charged TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (book, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX budget_open_holds ON budget_holds (book, expires_at)
  WHERE status = 'open';

-- The id is the number of the entry, and above that the number of its book: a table that
-- grows at its end, and whose rows may be as long as a page.
CREATE TABLE budget_journal (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  kind TEXT NOT NULL,
  posting TEXT NOT NULL,
  account TEXT NOT NULL,
  hold TEXT NOT NULL,
  unseen INTEGER NOT NULL,
  spilled TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE budget_postings (
  book INTEGER NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  content TEXT NOT NULL,
  changes TEXT NOT NULL,
  PRIMARY KEY (book, id)
) STRICT, WITHOUT ROWID;
