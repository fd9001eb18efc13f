"""Backup of a node that runs, and its way back.

Drafts are copied before and after the database, because each moves from there into it; logs come last. So the copy's
logs are never shorter than its database says, which is what a node demands when it opens them.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from ledger.errors import InputError, SettingsError
from services.node.agent import hold_folder
from services.node.config import NodeConfig
from services.node.streamlog import StreamLog

__all__ = ["back_up", "restore"]

_DATABASE = "millmark.sqlite"
_SQLITE = "sqlite:///"


def back_up(config: NodeConfig, target: Path) -> None:
    """Raises InputError when `target` is there already or cannot be written, SettingsError for a database that has its
    own way of backup."""
    database = _database(config)
    source = config.data_folder
    try:
        target.mkdir(mode=0o700, parents=True)
        _copy_some(source, target, "drafts/*.json")
        reading = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        with closing(reading) as old, closing(sqlite3.connect(target / _DATABASE)) as new:
            old.backup(new)
        _copy_some(source, target, "drafts/*.json")
        for pattern in ("streams/*/failed-lots.json", "streams/*/log", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(source, target, pattern)
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"{target} cannot be written: {error}", hint="name a folder that does not exist yet"
        ) from error


def restore(config: NodeConfig, backup: Path) -> Mapping[str, int]:
    """Entries by stream. The index of known events is left to be made anew. Raises InputError when the data folder is
    there already, StoreDamagedError for a damaged log, SettingsError when it is another stream's."""
    database, folder = _database(config), config.data_folder
    if folder.exists() or database.exists():
        raise InputError(f"{folder} or {database} exists", hint="move them away first")
    if not (backup / _DATABASE).is_file():
        raise InputError(f"{backup} is no backup of a node", hint="name the folder that `millmark node backup` wrote")
    found = {}
    with hold_folder(folder):
        for pattern in ("drafts/*.json", "streams/*/*", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(backup, folder, pattern)
        shutil.copyfile(backup / _DATABASE, database)
        for stream in config.streams:
            path = folder / "streams" / stream.name / "log"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(StreamLog(path, bytes.fromhex(stream.subject[2:]))) as log:
                found[stream.name] = log.end.index
    return found


def _database(config: NodeConfig) -> Path:
    if not config.database_url.startswith(_SQLITE):
        raise SettingsError("the database is not SQLite", hint="back it up with its own tools, before the logs")
    return Path(config.database_url.removeprefix(_SQLITE))


def _copy_some(source: Path, target: Path, pattern: str) -> None:
    for path in source.glob(pattern):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue  # a draft that has just become final
        copy.chmod(0o600)
