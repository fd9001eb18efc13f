"""Backup of a node, running or not, and restoring it.

Logs and evidence files are copied after the database: then the copies hold at least every entry that the copied
database refers to, which a node requires when it opens them.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.backup import (
    DATABASE,
    EVIDENCE,
    copy_all,
    copy_evidence,
    copy_sqlite,
    is_filled,
    verify_evidence,
)
from millmark.services.node.agent import lock_folder
from millmark.services.node.config import NodeConfig
from millmark.services.node.streamlog import StreamLog
from millmark.services.store import sqlite_path


def back_up(config: NodeConfig, target: Path) -> None:
    """Copies the node's state into `target`, which must not exist yet.

    Raises InputError if `target` exists or cannot be written, SettingsError if the database is not SQLite.
    """
    database = _database(config)
    source = config.data_folder
    try:
        target.mkdir(mode=0o700, parents=True)
        # Drafts are copied before and after the database. The first pass catches those that are settled, and removed,
        # once the database is copied; the second those written meanwhile, whose records the copy may already hold.
        _copy_some(source, target, "drafts/*.json")
        copy_sqlite(database, target / DATABASE)
        _copy_some(source, target, "drafts/*.json")
        if config.evidence_folder is not None:
            copy_evidence(config.evidence_folder, target / EVIDENCE)
        verify_evidence(target)
        for pattern in ("streams/*/failed-lots.json", "streams/*/log", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(source, target, pattern)
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"{target} cannot be written: {error}", hint="name a folder that does not exist yet"
        ) from error


def restore(config: NodeConfig, backup: Path) -> Mapping[str, int]:
    """Restores a backup into a data folder that does not exist yet. Returns the number of log entries by stream name.

    The dedup index is not part of a backup; the next start rebuilds it from the log. Raises InputError if the data
    folder or the database exists or `backup` is not a backup, StoreDamagedError for a damaged log, and SettingsError if
    a log belongs to another stream or the database is not SQLite.
    """
    database, folder = _database(config), config.data_folder
    if not (backup / DATABASE).is_file():
        raise InputError(f"{backup} is not a node backup", hint="name the folder that `millmark node backup` wrote")
    if folder.exists() or database.exists():
        raise InputError(f"{folder} or {database} already exists", hint="move it away first")
    if config.evidence_folder is None and (backup / EVIDENCE).is_dir():
        raise SettingsError(f"{backup} has files of evidence", hint="set evidence_folder to where they go")
    verify_evidence(backup)
    if config.evidence_folder is not None and is_filled(config.evidence_folder):
        raise InputError(f"{config.evidence_folder} is not empty", hint="move what is in it away first")
    found = {}
    with lock_folder(folder):
        for pattern in ("drafts/*.json", "streams/*/*", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(backup, folder, pattern)
        shutil.copyfile(backup / DATABASE, database)
        if config.evidence_folder is not None and (backup / EVIDENCE).is_dir():
            config.evidence_folder.parent.mkdir(parents=True, exist_ok=True)
            copy_all(backup / EVIDENCE, config.evidence_folder)
        for stream in config.streams:
            path = folder / "streams" / stream.name / "log"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(StreamLog(path, bytes.fromhex(stream.subject[2:]))) as log:
                found[stream.name] = log.end.index
    return found


def _database(config: NodeConfig) -> Path:
    database = sqlite_path(config.database_url)
    if database is None:
        raise SettingsError(
            "the database is not SQLite",
            hint="use the database's own backup tools, then copy evidence_folder and the data folder",
        )
    return database


def _copy_some(source: Path, target: Path, pattern: str) -> None:
    for path in source.glob(pattern):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue  # a draft that was settled since the folder was listed
        copy.chmod(0o600)
