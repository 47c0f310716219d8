"""
The bare drivers: the same rows changed in one round trip, and nothing judged.

A reserve changes nine counters (three levels; dollars, tokens, calls), adds a hold and
an entry of the journal; a settle changes the nine, closes the hold and adds an entry.
The texts are as long as those of ours.
"""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psycopg
import redis

from langchain_budget.ids import new_id

LEVELS, UNITS = 3, 3
HOLD, ENTRY = "h" * 400, "e" * 700


class Bare(ABC):
    """One client of a store; *lane* says which counters below the root are its own."""

    def __init__(self, lane: int) -> None:
        first = UNITS * (1 + lane * (LEVELS - 1))
        own = range(first, first + UNITS * (LEVELS - 1))
        self.counters = [*range(UNITS), *own]

    def pair(self) -> None:
        """Reserve and settle."""
        hold = new_id()
        self.reserve(hold)
        self.settle(hold)

    @abstractmethod
    def reserve(self, hold: str) -> None:
        """Set aside on each counter, open the hold."""

    @abstractmethod
    def settle(self, hold: str) -> None:
        """Give back and spend on each counter, close the hold."""


class BareSqlite(Bare):
    """A transaction on the disk for each; clients of one process take turns."""

    turn = threading.Lock()
    db: sqlite3.Connection
    seq = 0

    @classmethod
    def prepare(cls, path: Path, lanes: int) -> None:
        """Make the tables, and a connection for all."""
        cls.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        cls.db.execute("PRAGMA journal_mode = WAL")
        cls.db.execute("PRAGMA synchronous = FULL")
        cls.db.executescript(
            "CREATE TABLE counters (id INTEGER PRIMARY KEY, held INT, spent INT);"
            "CREATE TABLE holds (id TEXT PRIMARY KEY, status TEXT, body TEXT);"
            "CREATE TABLE journal (seq INTEGER PRIMARY KEY, body TEXT);"
            "CREATE TABLE books (id INTEGER PRIMARY KEY, seq INT);"
            "INSERT INTO books VALUES (1, 0);"
        )
        cls.db.executemany(
            "INSERT INTO counters VALUES (?, 0, 0)",
            [(each,) for each in range(counters_of(lanes))],
        )

    def reserve(self, hold: str) -> None:
        with self.turn:
            self._change(1, 0)
            self.db.execute("INSERT INTO holds VALUES (?, 'open', ?)", (hold, HOLD))
            self.db.execute("COMMIT")

    def settle(self, hold: str) -> None:
        with self.turn:
            self._change(-1, 1)
            self.db.execute("UPDATE holds SET status = 'done' WHERE id = ?", (hold,))
            self.db.execute("COMMIT")

    def _change(self, held: int, spent: int) -> None:
        db, marks = self.db, ",".join("?" * len(self.counters))
        db.execute("BEGIN IMMEDIATE")
        db.execute("SELECT seq FROM books").fetchone()
        db.execute(f"SELECT * FROM counters WHERE id IN ({marks})", self.counters)
        db.executemany(
            "UPDATE counters SET held = held + ?, spent = spent + ? WHERE id = ?",
            [(held, spent, each) for each in self.counters],
        )
        BareSqlite.seq += 1
        db.execute("INSERT INTO journal VALUES (?, ?)", (BareSqlite.seq, ENTRY))
        db.execute("UPDATE books SET seq = ?", (BareSqlite.seq,))


class BarePostgres(Bare):
    """One call of a function for each; it locks what it changes, as it must."""

    url = ""

    @classmethod
    def prepare(cls, url: str, lanes: int) -> None:
        """Make tables and functions."""
        cls.url = url
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(_POSTGRES.replace("COUNTERS", str(counters_of(lanes))))

    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        self._db = psycopg.connect(self.url, autocommit=True)

    def reserve(self, hold: str) -> None:
        self._ask("SELECT bare_reserve(%s, %s, %s, %s)", hold, HOLD)

    def settle(self, hold: str) -> None:
        self._ask("SELECT bare_settle(%s, %s, %s, %s)", hold, "done")

    def _ask(self, statement: str, hold: str, text: str) -> None:
        self._db.execute(statement, (hold, text, ENTRY, self.counters)).fetchone()


_POSTGRES = """
CREATE TABLE bare_counters (id int PRIMARY KEY, held bigint, spent bigint);
CREATE TABLE bare_holds (id text PRIMARY KEY, status text, body text);
CREATE TABLE bare_journal (seq bigint PRIMARY KEY, body text);
CREATE TABLE bare_books (id int PRIMARY KEY, seq bigint);
INSERT INTO bare_books VALUES (1, 0);
INSERT INTO bare_counters SELECT n, 0, 0 FROM generate_series(0, COUNTERS - 1) AS n;
CREATE FUNCTION bare_reserve(of_hold text, text_ text, entry text, ids int[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE number bigint;
BEGIN
  UPDATE bare_books SET seq = seq + 1 RETURNING seq INTO number;
  UPDATE bare_counters SET held = held + 1 WHERE id = ANY (ids);
  INSERT INTO bare_holds VALUES (of_hold, 'open', text_);
  INSERT INTO bare_journal VALUES (number, entry);
  RETURN number;
END $$;
CREATE FUNCTION bare_settle(of_hold text, text_ text, entry text, ids int[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE number bigint;
BEGIN
  UPDATE bare_books SET seq = seq + 1 RETURNING seq INTO number;
  UPDATE bare_counters SET held = held - 1, spent = spent + 1 WHERE id = ANY (ids);
  UPDATE bare_holds SET status = text_ WHERE id = of_hold;
  INSERT INTO bare_journal VALUES (number, entry);
  RETURN number;
END $$;
"""


class BareRedis(Bare):
    """One EVALSHA for each."""

    url = ""

    @classmethod
    def prepare(cls, url: str, lanes: int) -> None:
        """Nothing is to be made, for any number of *lanes*."""
        del lanes
        cls.url = url

    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        client: Any = redis.Redis.from_url(self.url)
        script = client.register_script(_REDIS)
        keys = ["{bare}:counters", "{bare}:holds", "{bare}:journal"]
        self._ask = lambda *args: script(keys=keys, args=[*args, *self.counters])

    def reserve(self, hold: str) -> None:
        self._ask(hold, HOLD, ENTRY, "1", "0", "-1")

    def settle(self, hold: str) -> None:
        self._ask(hold, "done", ENTRY, "-1", "1", "0")


_REDIS = """
local counters = KEYS[1]
for i = 7, #ARGV do
  redis.call('HINCRBY', counters, ARGV[i] .. ':held', ARGV[4])
  redis.call('HINCRBY', counters, ARGV[i] .. ':spent', ARGV[5])
  redis.call('HINCRBY', counters, ARGV[i] .. ':available', ARGV[6])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('RPUSH', KEYS[3], ARGV[3])
return 1
"""


def counters_of(lanes: int) -> int:
    """How many counters there are for so many lanes."""
    return UNITS * (1 + lanes * (LEVELS - 1))
