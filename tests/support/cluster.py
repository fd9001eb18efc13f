"""A PostgreSQL cluster of its own for a test or a demonstration: new, only on a Unix socket, removed afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from millmark.ledger.errors import StoreError
from millmark.ledger.store.postgresql import DISPOSABLE

__all__ = ["DurableCluster", "Pair", "describe_missing", "durable_cluster", "running_cluster", "running_pair"]

_MOST_S = 120.0
_DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs off the PATH, in one folder per version."""
_HASTE = f"-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c cluster_name={DISPOSABLE}"
"""Durability is switched off for speed: the tables need not survive a power cut, and the server says so."""
_SYNCHRONOUS = "-c synchronous_standby_names='*' -c synchronous_commit=remote_apply"


def describe_missing() -> str | None:
    """Why a cluster cannot run on this machine, or None."""
    if _programs() is None:
        return "PostgreSQL: initdb is not installed; on Debian: apt-get install postgresql"
    if importlib.util.find_spec("psycopg") is None:
        return "PostgreSQL: psycopg is not installed; pip install millmark[postgres]"
    if os.geteuid() == 0 and _other_user() is None:
        return "PostgreSQL: it does not run as root, and there is no user postgres or nobody"
    return None


@contextmanager
def running_cluster() -> Iterator[str]:
    """Runs a cluster; yields the SQLAlchemy URL of an empty database. Raises StoreError where that is not possible."""
    with _folder() as folder:
        server = _Server(_found_programs(), folder)
        server.initialise()
        with server.running(_HASTE):
            yield server.url


class Pair:
    """A primary and a standby that has every write before it is acknowledged; durable as in production."""

    def __init__(self, programs: Path, folders: tuple[Path, Path]) -> None:
        self._primary, self._standby = (_Server(programs, folder) for folder in folders)
        hosts = "&".join(f"host={quote(str(folder), safe='')}" for folder in folders)
        self.url = f"postgresql://millmark@/postgres?{hosts}&target_session_attrs=read-write&connect_timeout=5"
        """Names both servers, and leads to the one that takes writes."""

    def start(self) -> None:
        self._primary.initialise()
        self._primary.start()
        self._join()

    def stop(self) -> None:
        for server in (self._standby, self._primary):
            server.stop()

    def fail_over(self) -> None:
        """The primary is gone, at once and for good; the standby takes its place, and gets a standby of its own."""
        self._primary.stop()
        self._standby.promote()
        self._primary, self._standby = self._standby, self._primary
        self._join()

    def _join(self) -> None:
        self._standby.copy(self._primary)
        self._standby.start(_SYNCHRONOUS)
        # Only now, since writes wait for the standby from then on.
        self._primary.configure(_SYNCHRONOUS)


@contextmanager
def running_pair() -> Iterator[Pair]:
    """Runs a primary with a synchronous standby. Raises StoreError where that is not possible."""
    with _folder() as one, _folder() as other:
        pair = Pair(_found_programs(), (one, other))
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()


class _Server:
    """One server's data and socket, in a folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder, self._data = programs, folder, folder / "data"
        self.url = f"postgresql://millmark@/postgres?host={quote(str(folder), safe='')}"

    def initialise(self) -> None:
        self._run("initdb", "-U", "millmark", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    @contextmanager
    def running(self, settings: str = "") -> Iterator[None]:
        try:
            self.start(settings)  # within: it may serve already when the wait for it is interrupted
            yield
        finally:
            self.stop()

    def start(self, settings: str = "") -> None:
        """Returns once it serves, after the recovery from a crash if need be."""
        options = f"-k {self._folder} -c listen_addresses='' {settings}"
        self._run("pg_ctl", "-w", "-l", str(self._data / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once, as in a crash. Does nothing if it does not run."""
        if (self._data / "postmaster.pid").exists():
            with contextlib.suppress(StoreError):  # it was killed, or ends just now
                self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def promote(self) -> None:
        self._run("pg_ctl", "-w", "promote")

    def configure(self, settings: str) -> None:
        """Set these settings, given as on the server's command line, while it runs."""
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{one.strip()}\n" for one in settings.split("-c ") if one.strip())
        self._run("pg_ctl", "reload")

    def copy(self, primary: _Server) -> None:
        """Becomes a standby of another server."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = ["-h", str(primary._folder), "-U", "millmark"]
        self._run("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        _run([self._programs / program, "-D", self._data, *arguments])


def _found_programs() -> Path:
    programs = _programs()
    if programs is None:
        raise StoreError(str(describe_missing()))
    return programs


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="millmark-pg-") as folder:
        _give_away(Path(folder))
        yield Path(folder)


class DurableCluster(_Server):
    """A cluster with PostgreSQL's own settings, which keeps what it committed when it is killed."""

    def kill(self) -> None:
        """SIGKILL to all of its processes, so that none can write anything more."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for number in (main, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


@contextmanager
def durable_cluster() -> Iterator[DurableCluster]:
    """Runs a cluster that may be killed. Raises StoreError where that is not possible."""
    with _folder() as folder:
        cluster = DurableCluster(_found_programs(), folder)
        cluster.initialise()
        with cluster.running():
            yield cluster


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    if found is not None and (Path(found).parent / "initdb").exists():
        return Path(found).resolve().parent
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def _other_user() -> str | None:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def _give_away(folder: Path) -> None:
    user = _other_user()
    if os.geteuid() == 0 and user is not None:
        shutil.chown(folder, user)


def _run(command: Sequence[str | Path]) -> None:
    """Runs a program as an unprivileged user, because PostgreSQL refuses to run as root. Output goes to files: a server
    that inherited a pipe would keep it open."""
    user = _other_user() if os.geteuid() == 0 else None
    with tempfile.TemporaryFile() as said:
        code = subprocess.run(
            [str(part) for part in command],
            stdout=said,
            stderr=said,
            cwd="/",
            user=user,
            extra_groups=[] if user else None,
            timeout=_MOST_S,
        ).returncode
        said.seek(0)
        if code != 0:
            raise StoreError(f"{Path(command[0]).name} failed: {said.read().decode(errors='replace')[-1000:]}")
