"""Backup of a gateway's home, with the gateway running or not, and restoring it.

`PARTS` is the list of what makes up a home; gateway/OPERATIONS.md shows it. Secrets are not copied: they belong into a
backup of their own, and whoever finds this one must not be able to sign, or to open a document.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from millmark.ledger.errors import InputError, SettingsError, StoreDamagedError
from millmark.ledger.files import sync_folder
from millmark.ledger.store.database import give_identity
from millmark.ledger.store.evidence_files import MARKER
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.products import FOLDER
from millmark.services.settings import AUTHORITY_FILES, SETTINGS_FILE, Settings
from millmark.services.store import sqlite_path

DATABASE, EVIDENCE = "millmark.sqlite", "evidence"
"""Names in a backup: the copy of a SQLite database, and that of `evidence_folder`."""
_IGNORED = frozenset({"lost+found"})
"""What a new file system has."""
_MANIFEST, _FORMAT, _MAX_MANIFEST_BYTES = "backup.json", "millmark-backup", 1 << 24
_HINT_DATABASE = "with PostgreSQL, run pg_dump first, then this command with --without-database"


@dataclass(frozen=True, slots=True)
class Part:
    """Something that makes up a home."""

    name: str
    """Its name in a backup."""
    setting: str
    """The setting that names it; empty for what has its place in every home."""
    what: str
    copied: bool
    paths: Callable[[Settings], Sequence[Path]]
    """Where it is in a home."""
    optional: bool = False
    """Whether a home is complete without it, although no setting says so."""


def _file(setting: str, what: str, *, copied: bool = False, name: str = "") -> Part:
    def paths(settings: Settings) -> Sequence[Path]:
        path = settings.from_home(getattr(settings, setting))
        return [] if path is None else [path]

    return Part(name or setting, setting, what, copied, paths)


def _of_uri(uri: str | None) -> list[Path]:
    scheme, _, place = (uri or "").partition(":")
    return [Path(place.removeprefix("//"))] if scheme in ("keystore", "file") else []


def _database(settings: Settings) -> Sequence[Path]:
    path = sqlite_path(settings.database_url)
    return [] if path is None else [path]


PARTS: tuple[Part, ...] = (
    Part(SETTINGS_FILE, "", "the settings", True, lambda settings: [settings.home / SETTINGS_FILE]),
    _file("deployment", "the ledger's addresses", copied=True, name="deployment.json"),
    Part(DATABASE, "database", "index, private book, outbox and all tables of services", True, _database),
    _file("evidence_folder", "content of the streams' logs", copied=True, name=EVIDENCE),
    _file("audit", "the audit log", copied=True),
    Part(FOLDER, "", "the company's own products", True, lambda one: [one.home / FOLDER], optional=True),
    _file("document_keys", "the keys that open the documents in the database"),
    Part("", "gateway_signer", "the key that signs records", False, lambda one: _of_uri(one.gateway_signer_uri)),
    _file("gateway_passphrase_file", "its passphrase"),
    Part(
        "",
        "gateway_name_keys",
        "the keys from which names follow",
        False,
        lambda one: [path for uri in one.gateway_name_key_uris for path in _of_uri(uri)],
    ),
    _file("gateway_name_passphrase_file", "their passphrase"),
    _file("recipient_key", "the key that opens what others encrypt for the company"),
    Part("", "operator_signer", "the key that owns the registry", False, lambda one: _of_uri(one.operator_signer_uri)),
    _file("operator_passphrase_file", "its passphrase"),
    Part("", "credential_keys", "the keys that sign credentials", False, lambda one: one.credential_key_paths),
    _file("gateway_tls_certificate", "the gateway's certificate"),
    _file("gateway_tls_key", "the key of its certificate"),
    Part(
        AUTHORITY_FILES[0],
        "",
        "certificate and key of the gateway's own authority",
        False,
        lambda one: [one.home / name for name in AUTHORITY_FILES],
        optional=True,
    ),
    _file("gateway_tls_client_ca", "the authorities of clients"),
    _file("gateway_tls_crl", "their revocation lists"),
    _file("devchain_journal", "an embedded chain for development: the ledger itself, not a part of a home"),
)
"""In the order in which they are copied: after the database what its rows refer to, evidence, and what has their
anchors, the audit log."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored home has and lacks."""

    made_at: int
    """When the backup was made, in seconds since 1970."""
    files: int
    missing: Mapping[str, str]
    """Files that the settings name and that are not there, with what each is: they come from elsewhere."""


def back_up_home(settings: Settings, target: Path, *, without_database: bool = False) -> list[Path]:
    """Copies a home into `target`, which must not exist yet. Returns the files of the home that are not copied. Raises
    InputError if `target` exists or cannot be written, SettingsError if the database is not SQLite and not left out,
    StoreDamagedError if the copy of the database is damaged."""
    database = sqlite_path(settings.database_url)
    if database is None and not without_database:
        raise SettingsError("the database is not SQLite", hint=_HINT_DATABASE)
    try:
        target.mkdir(mode=0o700, parents=True)
        for part in PARTS:
            for path in part.paths(settings) if part.copied else ():
                if path == database:
                    if not without_database:
                        copy_sqlite(path, target / part.name)
                elif part.name == EVIDENCE:
                    copy_evidence(path, target / EVIDENCE)
                elif path.exists():
                    copy_all(path, target / part.name)
        verify_evidence(target)
        _write_manifest(target)
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"{target} cannot be written: {error}", hint="name a folder that does not exist yet"
        ) from error
    left = [path for part in PARTS if not part.copied for path in part.paths(settings) if path.exists()]
    return list(dict.fromkeys(left))  # one file may have two parts, such as the passphrase of two keys


def restore_home(backup: Path, home: Path, read: Callable[[Path], Settings]) -> Restored:
    """Restores a backup into a home without any of the files that it has. `read` reads a home's settings. Raises
    InputError if `backup` is not a complete backup, or a file of the home exists."""
    manifest = _read_manifest(backup)
    settings = read(backup).model_copy(update={"home": home})
    placed = list(_places(settings, backup))
    # All of them before the first is written: what fails half-way would leave a mixture of two homes.
    for _, place in placed:
        if is_filled(place):
            raise InputError(f"{place} exists already", hint="move it away, or restore into an empty folder")
    for source, place in placed:
        _place(source, place)
    missing: dict[str, str] = {}
    for part in (one for one in PARTS if not one.optional):
        for path in map(str, part.paths(settings)):
            if not Path(path).exists():
                missing[path] = f"{missing[path]}; {part.what}" if path in missing else part.what
    return Restored(int(str(manifest["made_at"])), len(placed), missing)


def copy_sqlite(database: Path, target: Path) -> None:
    """Copies a database that may be in use, as of one moment, and checks the copy. Raises sqlite3.Error, or
    StoreDamagedError."""
    with (
        closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        give_identity(new)  # so that a process notices if the copy is put in place of the database that it uses
        found = [row[0] for row in new.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise StoreDamagedError(
            f"the copy of {database} is damaged: {found[0]}", hint="see `millmark status --deep`; keep earlier backups"
        )
    target.chmod(0o600)


def _places(settings: Settings, backup: Path) -> Iterator[tuple[Path, Path]]:
    for part in PARTS:
        if part.copied and (backup / part.name).exists():
            for place in part.paths(settings):
                yield backup / part.name, place


def is_filled(place: Path) -> bool:
    """Whether there is a file, or a folder with something in it; a disk that was mounted for it is an empty folder."""
    return place.exists() and (not place.is_dir() or any(path.name not in _IGNORED for path in place.iterdir()))


def copy_all(source: Path, target: Path) -> None:
    """Copies a file, or a folder with all that is in it, for the owner alone. Raises OSError."""
    if source.is_dir():
        target.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(source.iterdir()):
            copy_all(path, target / path.name)
        return
    shutil.copyfile(source, target)
    target.chmod(0o600)


def _place(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_all(source, target)
        sync_folder(target.parent)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}", hint="check the folder") from error


def _write_manifest(target: Path) -> None:
    # Files of evidence are left out: they are many, and each has its digest for a name.
    paths = (path for path in sorted(target.rglob("*")) if path.is_file() and target / EVIDENCE not in path.parents)
    files = {str(path.relative_to(target)): _digest(path) for path in paths}
    text = {"format": _FORMAT, "version": 1, "made_at": int(time.time()), "files": files}
    # Written last: a backup without it was not finished.
    write_private_whole(target / _MANIFEST, json.dumps(text, indent=1).encode() + b"\n")


def _read_manifest(backup: Path) -> Mapping[str, object]:
    """The manifest of a backup, with whose digests all files agree. Raises InputError."""
    path = backup / _MANIFEST
    if not path.is_file():
        raise InputError(f"{backup} is not a complete backup", hint="name the folder that `millmark backup` wrote")
    try:
        found = json.loads(read_bounded(path, _MAX_MANIFEST_BYTES))
        files: Mapping[str, str] = found["files"]
        if (found["format"], found["version"]) != (_FORMAT, 1):
            raise ValueError
        wrong = [name for name, digest in files.items() if _digest(backup / name) != digest]
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{path} does not describe this backup", hint="take another backup") from None
    if wrong:
        raise InputError(f"{backup / wrong[0]} was changed since the backup", hint="take another backup")
    verify_evidence(backup)
    return dict(found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Files of evidence in backups: of a gateway's home, and of a node.

_FILES, _DEPTH = "*/*/*/*", 3
"""Where files are in the folder: in folders of streams, months and digits."""
_STREAM = re.compile("[0-9a-f]{64}")


def copy_evidence(source: Path, target: Path) -> None:
    """Copies the folder, after the database was copied: it then has at least what the copy refers to, unless something
    was removed meanwhile, or its disk is not mounted, which `verify_evidence` finds. Raises SettingsError if nothing
    can be found so, since the database is not copied, and the folder is not there, or if a folder in it cannot be read;
    OSError."""
    if not (source / MARKER).is_file():
        if not (target.parent / DATABASE).exists():
            raise SettingsError(f"evidence_folder {source} has no {MARKER}", hint="mount its disk")
        return
    target.mkdir(mode=0o700)
    for path in [source / MARKER, *_files_in(source)]:
        if path.name.startswith("."):
            continue  # a draft
        copy = target / path.relative_to(source)
        for folder in reversed(copy.relative_to(target).parents[:-1]):
            # One by one: with `parents`, others could look into all but the last.
            (target / folder).mkdir(mode=0o700, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue  # removed since the folder was listed
        copy.chmod(0o600)


def _files_in(source: Path) -> Iterator[Path]:
    # `glob` would leave out what another user's command made, and that is not found where the database is not copied.
    for place, folders, names in os.walk(source, onerror=_refuse):
        depth = len(Path(place).relative_to(source).parts)
        if depth == 0:
            folders[:] = [name for name in folders if _STREAM.fullmatch(name)]
        elif depth == _DEPTH:
            folders.clear()
            yield from (Path(place) / name for name in names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # removed since the folder around it was listed
        raise SettingsError(
            f"{error.filename} cannot be read: {error.strerror}",
            hint="let the user of gateway and node own all of evidence_folder, and back up as that user",
        ) from error


def verify_evidence(backup: Path) -> None:
    """Raises InputError if a file of evidence in a backup was changed, or one that its database names is missing."""
    folder = backup / EVIDENCE
    for path in folder.glob(_FILES):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                raise InputError(f"{path} is not what was written", hint="take another backup")
    if not (backup / DATABASE).is_file():
        return
    # Immutable: nobody writes a backup, and SQLite would put files of its own beside the copy.
    place = quote(str(backup / DATABASE))
    with closing(sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True)) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(evidence)")}
        if "file" not in columns:
            return  # of an earlier version
        for stream, name in database.execute("SELECT stream, file FROM evidence WHERE file <> ''"):
            if not (folder / bytes(stream).hex() / name).is_file():
                raise InputError(
                    f"{folder / bytes(stream).hex() / name} is missing",
                    hint="set evidence_folder, and mount its disk; if it was dropped or moved meanwhile, back up again",
                )
