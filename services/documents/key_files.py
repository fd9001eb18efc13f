"""Key files of mode 0600: the key ring that wraps a gateway's data keys, and the private key of a recipient.

The key ring is read at every use, so that a running gateway notices a rotation.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, SigningError
from millmark.ledger.files import replace_file, sync_folder
from millmark.ledger.keys import read_private, write_private
from millmark.services.documents.encryption import KEY_BYTES

_RING, _RECIPIENT = "millmark-document-keys", "millmark-recipient-key"
_MAX_BYTES = 1 << 16
_KEEP_OLD_S = 86_400
_WAIT_S, _PAUSE_S = 600.0, 0.02
"""How long a rotation waits for another one, and between two looks."""


class KeyRing:
    """The keys in a gateway's key file, by name; the first one is current."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = path.name + ".old-"
        """How the names of files with dropped keys begin."""

    @contextmanager
    def rotating(self) -> Iterator[None]:
        """Keeps other rotations of this key file out during the `with` block: of all processes and threads.

        Raises SigningError if one is still under way after ten minutes.
        """
        # Beside the key file, which is itself replaced meanwhile. The kernel releases the lock with the process.
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SigningError(f"{lock} cannot be opened: {error.strerror}", hint="check its folder") from None
        try:
            _wait_for(descriptor, self._path)
            yield
        finally:
            os.close(descriptor)

    def in_use(self) -> tuple[str, bytes]:
        """Name and value of the current key, which wraps new data keys. Creates the file if it does not exist. Raises
        SigningError."""
        # Two processes may get here at once: `write_private` never replaces a file, so the second raises and loses no
        # key.
        if not self._path.exists():
            write_private(self._path, _ring_text([_new_key()]))
        return next(iter(self.keys().items()))

    def key(self, name: str) -> bytes:
        """The key with this name. Raises SigningError if the file has none."""
        found = self.keys().get(name)
        if found is None:
            raise SigningError(
                f"{self._path} has no key {name}",
                hint=f"restore the key file that belongs to this database; {self._old}* have the keys that were "
                "dropped within the last day",
            )
        return found

    def keys(self) -> dict[str, bytes]:
        """All keys by name, the current one first. Raises SigningError."""
        self._forget_old()
        return _read_ring(self._path)

    def add(self) -> None:
        """Adds a new key and makes it current."""
        # The first key is the current one. The others stay, for the data keys that are still wrapped under them.
        self._replace(self._path, [_new_key(), *self.keys().items()])

    def drop_old(self, named: Collection[str]) -> None:
        """Removes the keys that are neither current nor among `named`, those by which data keys are wrapped.

        For a day they stay in a file beside it, one for each rotation: what a mistake would cost is every document.
        """
        keys = list(self.keys().items())
        kept = [keys[0], *(key for key in keys[1:] if key[0] in named)]
        dropped = [key for key in keys if key not in kept]
        if dropped:
            self._replace(self._path.with_name(f"{self._old}{time.time_ns()}"), dropped)
            self._replace(self._path, kept)

    def _forget_old(self) -> None:
        for old in self._path.parent.glob(glob.escape(self._old) + "*"):
            with suppress(OSError):  # another process was faster
                if time.time() - old.stat().st_mtime > _KEEP_OLD_S:
                    old.unlink()
                    sync_folder(old.parent)

    def _replace(self, path: Path, keys: list[tuple[str, bytes]]) -> None:
        # Written beside the file and renamed: a crash leaves the old ring or the new one, never a part.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_private(draft, _ring_text(keys))
        replace_file(draft, path)


def create_recipient_key(path: Path) -> bytes:
    """Writes a new X25519 key to a new file, and returns the public key. Raises SigningError, also if the file
    exists."""
    key = X25519PrivateKey.generate()
    content: Json = {"format": _RECIPIENT, "version": 1, "private_key": key.private_bytes_raw().hex()}
    write_private(path, canonical_json(content) + b"\n")
    return key.public_key().public_bytes_raw()


def read_recipient_key(path: Path) -> X25519PrivateKey:
    """Reads a recipient's private key. Raises SigningError for a file that other users can read or that contains no
    such key.
    """
    value = _parse(path, _RECIPIENT)
    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(str(value["private_key"])))
    except (KeyError, ValueError):
        raise SigningError(
            f"{path} does not contain a recipient's key", hint="create one with `millmark documents keys new`"
        ) from None


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise SigningError(f"another rotation of {path} is under way", hint="repeat the command when it has ended")
        time.sleep(_PAUSE_S)


def _read_ring(path: Path) -> dict[str, bytes]:
    listed = _parse(path, _RING).get("keys")
    try:
        keys = dict(map(_parse_key, listed if isinstance(listed, list) else []))
    except ValueError:
        keys = {}
    if not keys:
        raise SigningError(f"{path} is not a valid file of document keys", hint="restore it from a backup")
    return keys


def _parse(path: Path, form: str) -> Mapping[str, Json]:
    try:
        value = parse_json(read_private(path), max_bytes=_MAX_BYTES, max_depth=4)
    except CanonicalError:
        value = None
    if not isinstance(value, dict) or value.get("format") != form or value.get("version") != 1:
        raise SigningError(f"{path} is not a {form} file of version 1")
    return value


def _parse_key(value: Json) -> tuple[str, bytes]:
    if not isinstance(value, dict) or value.keys() != {"id", "key"}:
        raise ValueError
    name, key = str(value["id"]), bytes.fromhex(str(value["key"]))
    if len(key) != KEY_BYTES:
        raise ValueError
    return name, key


def _new_key() -> tuple[str, bytes]:
    return secrets.token_hex(6), secrets.token_bytes(KEY_BYTES)


def _ring_text(keys: list[tuple[str, bytes]]) -> bytes:
    shown: list[Json] = [{"id": name, "key": key.hex()} for name, key in keys]
    return canonical_json({"format": _RING, "version": 1, "keys": shown}) + b"\n"
