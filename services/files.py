"""Bounded reading and atomic writing of files that a user names."""

from __future__ import annotations

import secrets
from pathlib import Path

from millmark.ledger.errors import InputError
from millmark.ledger.files import replace_file, write_new


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a file of at most `most_bytes` bytes. Raises InputError for a file that cannot be read
    or is larger; of a larger file, only the first `most_bytes` + 1 bytes are read."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}") from None
    if len(data) > most_bytes:
        raise InputError(f"{path} is larger than {most_bytes} bytes")
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Creates or replaces a file atomically: readers see the old content or the new. Raises InputError."""
    _write(path, data, 0o666)


def write_private_whole(path: Path, data: bytes) -> None:
    """Like `write_whole`, but only the owner can read the file (mode 0600)."""
    _write(path, data, 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    # In the same folder, because a rename is atomic within one file system only; synchronised before the rename, so
    # that a power cut cannot leave an empty file under the final name. O_EXCL never follows a link that somebody else
    # put there.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_new(draft, data, mode)
            replace_file(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or 'not a path'}", hint="name another file"
        ) from None
