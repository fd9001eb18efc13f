"""Keys of nodes. With QBFT the node's key also seals blocks, so a validator is known by the address of this key; for
Clique the same key is used, so that one folder holds one key."""

from __future__ import annotations

from pathlib import Path

import coincurve

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import LocalSigner, read_private, write_private

__all__ = ["PUBLIC_KEY_BYTES", "public_key_of", "read_node_key", "write_node_key"]

PUBLIC_KEY_BYTES = 64
"""x and y of the point, as in an enode URL."""


def write_node_key(path: Path, signer: LocalSigner | None = None) -> LocalSigner:
    """Writes a new random key, or the given one, as 64 hexadecimal digits: the form that all node programs read. The
    file has mode 0600 and replaces no other. Raises SigningError."""
    signer = signer or LocalSigner.generate()
    write_private(path, signer.unsafe_secret().hex().encode())
    return signer


def read_node_key(path: Path) -> LocalSigner:
    """The key in a file of mode 0600. Raises SigningError."""
    try:
        return LocalSigner.from_bytes(bytes.fromhex(read_private(path).decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        raise SigningError(f"{path} does not contain 64 hexadecimal digits") from None


def public_key_of(signer: LocalSigner) -> bytes:
    """The 64 bytes by which other nodes know this one."""
    return coincurve.PrivateKey(signer.unsafe_secret()).public_key.format(compressed=False)[1:]
