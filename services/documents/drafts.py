"""A version during upload: encrypted piece by piece into a temporary file, so that a large document needs no memory,
and a slow sender holds no database lock."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from types import TracebackType

from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.errors import InputError
from millmark.services.documents.encryption import Sealer, VersionId
from millmark.services.documents.sealed_file import MAX_DOCUMENT_BYTES

MAX_NAME_CHARACTERS = 200
PIECE_BYTES = 256 << 10
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


class Draft:
    """A context manager. The temporary file contains only ciphertext and is deleted on exit."""

    def __init__(self, version_id: VersionId, name: str, media_type: str) -> None:
        """Raises InputError for an invalid name or media type."""
        self.version_id, self.name, self.media_type = version_id, verify_name(name), verify_media_type(media_type)
        self._sealer = Sealer(version_id)
        self._digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(max_size=PIECE_BYTES)  # noqa: SIM115  # closed in __exit__
        self.size = 0

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        """Encrypts the next piece of the document. Raises InputError if the document becomes too large."""
        self.size += len(piece)
        # Before anything is written, so that an endless upload does not fill the disk.
        if self.size > MAX_DOCUMENT_BYTES:
            raise InputError(f"the document has more than {MAX_DOCUMENT_BYTES} bytes", hint="share a smaller file")
        self._digest.update(piece)
        self._file.write(self._sealer.update(piece))

    def finish(self) -> Claims:
        """Completes the ciphertext. Returns the claims of the version, with new random salts."""
        self._file.write(self._sealer.finish())
        self._file.seek(0)
        return build_claims(
            {
                "name": self.name,
                "media_type": self.media_type,
                "size": self.size,
                "sha256": self._digest.hexdigest(),
            }
        )

    def pieces(self) -> Iterator[bytes]:
        """The ciphertext, once `finish` was called."""
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    @property
    def data_key(self) -> bytes:
        return self._sealer.data_key

    @property
    def nonce(self) -> bytes:
        return self._sealer.nonce


def verify_name(name: str) -> str:
    """Returns a valid file name. Raises InputError for one that is empty, too long, or a path."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise InputError(
            f"a document's name has to have 1 to {MAX_NAME_CHARACTERS} printable characters", hint="rename the file"
        )
    # A recipient may save the file under this name, so it must not lead into another folder.
    if "/" in name or "\\" in name or name.startswith("."):
        raise InputError(
            "a document's name must not be a path or start with a dot", hint="give the last part of the path only"
        )
    return name


def verify_media_type(media_type: str) -> str:
    """Returns type and subtype in lower case, without parameters. Raises InputError."""
    plain = media_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(plain):
        raise InputError(f"{media_type[:80]!a} is not a media type", hint="give one such as application/pdf")
    return plain
