"""Signatures: ECDSA over secp256k1 in the form that contracts accept, and the addresses of the signing keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias

import coincurve

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import SigningError

Address: TypeAlias = bytes
"""The last 20 bytes of the Keccak-256 of the public key."""
ADDRESS_BYTES = 20

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of the group; private keys, r and s are below it (SEC 2, section 2.4.1)."""


@dataclass(frozen=True, slots=True)
class Signature:
    """An ECDSA signature over secp256k1 with low s, the only form that the contracts accept (EIP-2)."""

    r: int
    """1 .. order - 1."""
    s: int
    """1 .. order / 2."""
    y_parity: int
    """0 or 1: which of the two points with this r."""

    def __post_init__(self) -> None:
        # With s, order - s is valid for the same digest: allowing both would let anybody alter a signature.
        if not 0 < self.r < ORDER or not 0 < self.s <= ORDER // 2 or self.y_parity not in (0, 1):
            raise SigningError("not an ECDSA signature with low s")

    def to_bytes(self) -> bytes:
        """Return r, s and v = 27 + y parity: the 65 bytes that contracts accept."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes([27 + self.y_parity])

    @classmethod
    def from_bytes(cls, data: bytes) -> Signature:
        """Parse 65 bytes: r, s and v = 27 or 28. Raises SigningError."""
        if not isinstance(data, bytes) or len(data) != 65 or data[64] not in (27, 28):
            raise SigningError("a signature must have 65 bytes and end in 27 or 28")
        return cls(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big"), data[64] - 27)


class Signer(Protocol):
    """An object that signs with one key, wherever the private key is kept."""

    @property
    def address(self) -> Address:
        """Address of the key, 20 bytes."""

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign a 32-byte digest. Raises SigningError. The caller must know what the digest commits to."""


def recover_address(digest: bytes, signature: Signature) -> Address:
    """Return the address of the key that made `signature` over `digest`. Raises SigningError if no key
    can have made it."""
    check_digest(digest)
    compact = signature.to_bytes()[:64] + bytes([signature.y_parity])
    try:
        return address_of(coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except Exception as error:  # coincurve raises plain Exception
        raise SigningError("no key can have made this signature") from error


def verify_signature(digest: bytes, signature: Signature, address: Address) -> None:
    """Verify that the key of `address` signed `digest`. Raises SigningError."""
    found = recover_address(digest, signature)
    if found != address:
        raise SigningError(f"the signature is by {to_checksum(found)} instead of {to_checksum(address)}")


def to_checksum(address: Address) -> str:
    """Return "0x" and 40 hexadecimal digits with the checksum of ERC-55. Raises SigningError for a length other than 20
    bytes."""
    if not isinstance(address, bytes) or len(address) != ADDRESS_BYTES:
        raise SigningError(f"an address must have {ADDRESS_BYTES} bytes")
    return _checksum(address)


@lru_cache(maxsize=1024)  # a process names few addresses, and each of them often
def _checksum(address: Address) -> str:
    digits = address.hex()
    mask = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if place >= "8" else digit for digit, place in zip(digits, mask[:40], strict=True)
    )


def parse_address(text: str) -> Address:
    """Parse "0x" and 40 hexadecimal digits; mixed case must match the checksum of ERC-55. Raises SigningError."""
    digits = text[2:]
    if text[:2] != "0x" or len(digits) != 40 or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise SigningError(f"{text[:60]!a} is not an address", hint="write 0x and 40 hexadecimal digits")
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and to_checksum(address) != text:
        raise SigningError(f"{text} has a wrong checksum", hint="copy the address again")
    return address


def address_of(public_key: coincurve.PublicKey) -> Address:
    """Return the address of a public key (yellow paper, appendix F)."""
    return keccak256(public_key.format(compressed=False)[1:])[-ADDRESS_BYTES:]


def check_digest(digest: object) -> None:
    """Check that `digest` is 32 bytes. Raises SigningError."""
    if not isinstance(digest, bytes) or len(digest) != 32:
        raise SigningError("a digest must have 32 bytes")
