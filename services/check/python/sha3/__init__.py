"""Keccak-256 by @noble/hashes, under the name that safe-pysha3 gives it."""

from millmark_hashing import keccak_256 as _keccak_256
from pyodide.ffi import to_js

__all__ = ["keccak_256"]


class keccak_256:  # noqa: N801  # safe-pysha3's name
    """Hashes when the digest is asked for: one call out of WebAssembly is dearer than copying the data."""

    digest_size = 32

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytes(data)

    def update(self, data: bytes) -> None:
        self._data += data

    def digest(self) -> bytes:
        found: bytes = _keccak_256(to_js(self._data)).to_bytes()
        return found

    def hexdigest(self) -> str:
        return self.digest().hex()
