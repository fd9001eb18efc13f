"""A stream's evidence log in a local file: one JSON line per entry, with its salt and data stored along with it.

The file contains salts and measured data, so it is as confidential as the private book.

Entries are acknowledged after `fsync`. An incomplete last line is left by a crash; it was never acknowledged, and the
next writer removes it. An advisory lock on the file admits one writer at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.evidence import EvidenceEntry, EvidenceLog


class EvidenceFile:
    """An open evidence log, in memory and on disk."""

    def __init__(self, file: BinaryIO, log: EvidenceLog) -> None:
        self._file = file
        self.log = log

    def append(self, entries: Sequence[tuple[Json, Json]]) -> list[EvidenceEntry]:
        """Appends pairs of an entry and the data stored along with it, which is not evidence. They are on disk on
        return.

        Raises CanonicalError, and then appends nothing.
        """
        # Encoded before anything is appended, so that an entry without canonical form leaves memory and file alone.
        texts = [(canonical_json(entry), canonical_json(beside)) for entry, beside in entries]
        added = [self.log.append(entry) for entry, _ in entries]
        lines = [
            b'{"beside":%b,"entry":%b,"salt":"%b"}\n' % (beside, entry, one.salt.hex().encode())
            for one, (entry, beside) in zip(added, texts, strict=True)
        ]
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        return added


@contextmanager
def open_evidence_file(path: Path) -> Iterator[EvidenceFile]:
    """Opens the log at `path`, creating it with mode 0600 if needed. Waits while another process holds its lock.

    Raises InputError if it cannot be opened or holds something else.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"cannot open {path}: {error.strerror}", hint="name a file that you may write") from None
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield EvidenceFile(file, _read(file, path))


def _read(file: BinaryIO, path: Path) -> EvidenceLog:
    data = file.read()
    end = data.rfind(b"\n") + 1
    log = EvidenceLog()
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            found = json.loads(line)
            log.append(found["entry"], bytes.fromhex(found["salt"]))
        except (ValueError, TypeError, KeyError, MillmarkError):
            raise InputError(f"{path} line {number} is not an evidence entry", hint="name another file") from None
    # Only now that every complete line was read as an entry: a file of another kind must not be cut.
    if end < len(data):
        file.truncate(end)
    file.seek(end)
    return log
