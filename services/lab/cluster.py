"""A PostgreSQL cluster of its own for a test or a demonstration: new, only on a Unix socket, removed afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ledger.errors import StoreError
from ledger.store.durability import DISPOSABLE

__all__ = ["describe_missing", "running_cluster"]

_MOST_S = 120.0
_DEBIAN = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs off the PATH, in one folder per version."""
_HASTE = f"-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c {DISPOSABLE}=on"
"""Durability is switched off for speed: the tables need not survive a power cut, and the server says so."""


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
    programs = _programs()
    if programs is None:
        raise StoreError(str(describe_missing()))
    with tempfile.TemporaryDirectory(prefix="millmark-pg-") as folder:
        data = Path(folder) / "data"
        _give_away(Path(folder))
        _run([programs / "initdb", "-D", data, "-U", "millmark", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
        _run(
            [
                programs / "pg_ctl",
                "-D",
                data,
                "-w",
                "-l",
                data / "log",
                "-o",
                f"-k {folder} -c listen_addresses='' {_HASTE}",
                "start",
            ]
        )
        try:
            yield f"postgresql://millmark@/postgres?host={quote(folder, safe='')}"
        finally:
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])


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
