"""A version while it comes in: encrypted stretch by stretch into a temporary file, so that neither a large document nor
a slow sender holds memory or a database lock."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from types import TracebackType

from ledger.claims import Claims, build_claims
from ledger.errors import InputError
from services.documents.encryption import Place, Sealer
from services.documents.sealed_file import MOST_DOCUMENT_BYTES

__all__ = ["MOST_NAME_CHARACTERS", "Draft", "verify_media_type", "verify_name"]

MOST_NAME_CHARACTERS = 200
PIECE_BYTES = 256 << 10
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


class Draft:
    """Use it in a `with`: what was written on disk, ciphertext only, is gone afterwards."""

    def __init__(self, place: Place, name: str, media_type: str) -> None:
        """Raises InputError for a name or a media type that is none."""
        self.place, self.name, self.media_type = place, verify_name(name), verify_media_type(media_type)
        self._sealer = Sealer(place)
        self._digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(max_size=PIECE_BYTES)  # noqa: SIM115  # closed in __exit__
        self.size = 0

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, stretch: bytes) -> None:
        """Raises InputError when the document becomes too large."""
        self.size += len(stretch)
        if self.size > MOST_DOCUMENT_BYTES:
            raise InputError(f"a document has at most {MOST_DOCUMENT_BYTES} bytes", hint="share a smaller one")
        self._digest.update(stretch)
        self._file.write(self._sealer.update(stretch))

    def finish(self) -> Claims:
        """Ends the ciphertext; gives what the document commits to, with fresh salts."""
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
        """The ciphertext, after `finish`."""
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    @property
    def data_key(self) -> bytes:
        return self._sealer.data_key

    @property
    def nonce(self) -> bytes:
        return self._sealer.nonce


def verify_name(name: str) -> str:
    """A file's name, which must be no path. Raises InputError."""
    if not 0 < len(name) <= MOST_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise InputError(f"a document's name is 1 to {MOST_NAME_CHARACTERS} printable characters", hint="rename it")
    if "/" in name or "\\" in name or name.startswith("."):
        raise InputError("a document's name is no path, and begins with no dot", hint="give the last part alone")
    return name


def verify_media_type(media_type: str) -> str:
    """Type and subtype in lower case, without parameters. Raises InputError."""
    plain = media_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(plain):
        raise InputError(f"{media_type[:80]!a} is no media type", hint="give one such as application/pdf")
    return plain
