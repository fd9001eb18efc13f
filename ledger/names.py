"""Names: the salt of an identifier is not chosen, but follows from its creator's name key (IDENTIFIERS.md, "Salt").

So one creator can show an identifier for one subject only. The name key is separate from all signing keys: it signs
nothing, and the Registry has its hash. If a company replaces it, a name is proved under every key up to its own.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Sequence
from typing import NoReturn, Protocol

import coincurve

from millmark.ledger.errors import ProofError, SigningError
from millmark.ledger.ids import Identity, SubjectKind, canonical_identifier, subject
from millmark.ledger.signatures import ORDER

# ECVRF: a pseudorandom output that only the holder of a secret key can compute, and everybody can verify.
#
# The construction of RFC 9381 section 5, with all options of ECVRF-P256-SHA256-TAI except that curve and base point are
# those of secp256k1 (SEC 2, section 2.4.1), and the suite byte is 0xFE, which no RFC assigns. What it guarantees,
# whoever made the key: there is one output for a public key and an input (full uniqueness, RFC 9381 section 3.1),
# because the key and Gamma are checked to be points of the curve, whose cofactor is 1.
#
# Not established: that a proof takes the same time with every secret key. libsecp256k1 multiplies points other than the
# base point in variable time, so nobody untrusted may time proofs precisely.

PUBLIC_KEY_BYTES = 33
PROOF_BYTES = 81
"""Gamma, a compressed point of 33 bytes; c, 16 bytes; s, 32 bytes; both big-endian."""

_SUITE = b"\xfe"
_ENCODE, _CHALLENGE, _HASH = b"\x01", b"\x02", b"\x03"
_C_BYTES = 16


class SecretKey:
    """A secret key in this process's memory. It cannot be printed, copied or pickled."""

    __slots__ = ("_scalar", "public_key")

    public_key: bytes
    """33 bytes."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes, big-endian. Raises SigningError, whose text does not contain it."""
        if not isinstance(secret, bytes) or len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise SigningError("not a secp256k1 private key of 32 bytes")
        self._scalar = int.from_bytes(secret, "big")
        self.public_key = coincurve.PublicKey.from_secret(secret).format()

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof of the output for `alpha`, 81 bytes; always the same (RFC 9381 section 5.1)."""
        base, h_text = _encode_to_curve(self.public_key, alpha)
        gamma = base.multiply(_word(self._scalar)).format()
        nonce = _nonce(self._scalar, h_text)
        u = coincurve.PublicKey.from_secret(_word(nonce))
        c = _challenge(self.public_key, h_text, gamma, u, base.multiply(_word(nonce)))
        s = (nonce + int.from_bytes(c, "big") * self._scalar) % ORDER
        return gamma + c + _word(s)

    def __repr__(self) -> str:
        return f"SecretKey({self.public_key.hex()})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SigningError("a secret key cannot be copied or pickled")


def verify_proof(public_key: bytes, alpha: bytes, proof: bytes) -> bytes:
    """Verify a proof and return the output, 32 bytes (RFC 9381 section 5.3, validate_key true). Raises ProofError.

    1. The key and Gamma are points in compressed form. Infinity has no such form.
    2. The proof has 81 bytes, c is not 0, and s is from 1 to the order - 1: one proof has one text.
    3. U = sB - cY and V = sH - cGamma are not infinity, and c is the challenge made from them.
    """
    minus_y = _minus_key(public_key)
    if not isinstance(proof, bytes) or len(proof) != PROOF_BYTES:
        raise ProofError(f"a proof of a name must have {PROOF_BYTES} bytes")
    gamma_text, c_text, s_text = proof[:33], proof[33:49], proof[49:]
    minus_gamma = _point("Gamma", gamma_text, negative=True)
    if not any(c_text):
        raise ProofError("c is 0")
    if not 0 < int.from_bytes(s_text, "big") < ORDER:
        raise ProofError("s is not from 1 to the order - 1")
    # c of 16 bytes times the negated points: faster than minus c, which has 32.
    (base, h_text), c = _encode_to_curve(public_key, alpha), c_text.rjust(32, b"\0")
    try:
        u = minus_y.multiply(c).add(s_text)
        v = coincurve.PublicKey.combine_keys([base.multiply(s_text), minus_gamma.multiply(c)])
    except ValueError:  # coincurve's, for infinity
        raise ProofError("U or V is the point at infinity") from None
    if _challenge(public_key, h_text, gamma_text, u, v) != c_text:
        raise ProofError("the proof does not belong to this key and input")
    return proof_to_hash(proof)


def proof_to_hash(proof: bytes) -> bytes:
    """Return the output of a proof, 32 bytes (RFC 9381 section 5.2). `verify_proof` must have accepted the proof."""
    return hashlib.sha256(_SUITE + _HASH + proof[:PUBLIC_KEY_BYTES] + b"\x00").digest()


@functools.lru_cache(maxsize=64)
def _minus_key(text: bytes) -> coincurve.PublicKey:
    """The negated public key. A company has one for all of its names."""
    return _point("the public key", text, negative=True)


def _point(what: str, text: bytes, *, negative: bool = False) -> coincurve.PublicKey:
    """A point, or its negative, from its compressed form."""
    # coincurve also takes points of 65 bytes, which would give one key several texts.
    if not isinstance(text, bytes) or len(text) != PUBLIC_KEY_BYTES or text[0] not in (2, 3):
        raise ProofError(f"{what} is not a compressed point of {PUBLIC_KEY_BYTES} bytes")
    try:
        return coincurve.PublicKey(bytes((text[0] ^ 1,)) + text[1:] if negative else text)
    except ValueError:
        raise ProofError(f"{what} is not a point of the curve") from None


def _encode_to_curve(public_key: bytes, alpha: bytes) -> tuple[coincurve.PublicKey, bytes]:
    """The point of an input, and its compressed form: try-and-increment with the public key as salt (RFC 9381 section
    5.4.1.1). Half of all hashes are a point's x."""
    prefix = _SUITE + _ENCODE + public_key + alpha
    for counter in range(256):
        text = b"\x02" + hashlib.sha256(prefix + bytes((counter, 0))).digest()
        try:
            return coincurve.PublicKey(text), text
        except ValueError:
            continue
    raise ProofError("no point was found for this input")  # one input in 2^256


def _challenge(key: bytes, base: bytes, gamma: bytes, u: coincurve.PublicKey, v: coincurve.PublicKey) -> bytes:
    """RFC 9381 section 5.4.3."""
    points = key + base + gamma + u.format() + v.format()
    return hashlib.sha256(_SUITE + _CHALLENGE + points + b"\x00").digest()[:_C_BYTES]


def _nonce(scalar: int, message: bytes) -> int:
    """The nonce of RFC 6979 section 3.2 for SHA-256, as RFC 9381 section 5.4.2.1 demands."""
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big") % ORDER
    seed = _word(scalar) + _word(hashed)
    value, key = b"\x01" * 32, bytes(32)
    for mark in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + mark + seed, "sha256")
        value = hmac.digest(key, value, "sha256")
    while True:
        value = hmac.digest(key, value, "sha256")
        nonce = int.from_bytes(value, "big")
        if 0 < nonce < ORDER:
            return nonce
        key = hmac.digest(key, value + b"\x00", "sha256")
        value = hmac.digest(key, value, "sha256")


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


NAME_PROOF_BYTES = PUBLIC_KEY_BYTES + PROOF_BYTES
"""A public name key, and the proof under it."""
MAX_NAME_KEYS = 64
"""Most name keys of a company under which a name can be proved."""
_ALPHA_TAG = b"millmark.name.v1\0"
_KEY_TAG = b"millmark.name-key.v1\0"


class Deployed(Protocol):
    """What makes a ledger unlike all others: a chain, a bundle and the index each have it."""

    @property
    def chain_id(self) -> int: ...
    @property
    def ledger(self) -> bytes: ...
    @property
    def ledger_id(self) -> bytes: ...


class NameKey:
    """A company's name key in this process's memory. It cannot be printed, copied or pickled."""

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        """`seed`: the 32-byte secret of the key file. Raises SigningError, whose text does not contain it."""
        if not isinstance(seed, bytes) or len(seed) != 32:
            raise SigningError("the secret of a name key must have 32 bytes")
        # Hashed: were the file also used for signing, a signature and a proof could share a nonce and reveal the key.
        self._key = SecretKey(hashlib.sha256(_KEY_TAG + seed).digest())

    @property
    def public_key(self) -> bytes:
        """33 bytes."""
        return self._key.public_key

    @property
    def hash(self) -> bytes:
        """What the Registry has of it, 32 bytes."""
        return name_key_hash(self.public_key)

    def prove(self, alpha: bytes) -> bytes:
        """Return the public key and the proof for `alpha`, 114 bytes."""
        return self.public_key + self._key.prove(alpha)

    def __repr__(self) -> str:
        return f"NameKey({self.public_key.hex()})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SigningError("a name key cannot be copied or pickled")


def name_key_hash(public_key: bytes) -> bytes:
    """Return what the Registry has of a public name key. Not an address: its maker could find two keys for one."""
    return hashlib.sha256(public_key).digest()


def build_alpha(ledger: Deployed, kind: SubjectKind, creator: int, identifier: str) -> bytes:
    """Return the input of a name's proof; `identifier` must be in canonical form. Raises ProofError."""
    if not 0 <= ledger.chain_id < 2**64 or not 0 <= creator < 2**32:
        raise ProofError(f"a name on chain {ledger.chain_id} by participant {creator} cannot be proved")
    place = ledger.chain_id.to_bytes(8, "big") + ledger.ledger + ledger.ledger_id
    return _ALPHA_TAG + place + bytes([kind]) + creator.to_bytes(4, "big") + identifier.encode()


def derive_identity(
    ledger: Deployed, keys: Sequence[NameKey], kind: SubjectKind, creator: int, identifier: str
) -> Identity:
    """Return the identity of what `creator` calls `identifier`, in any spelling.

    `keys` are all name keys that the creator registered, oldest first; the last one makes the salt. Raises
    IdentifierError, and SigningError without a key.
    """
    if not keys:
        raise SigningError("there is no name key", hint="create one, and register it with `millmark keys name`")
    canonical = canonical_identifier(identifier)
    alpha = build_alpha(ledger, kind, creator, canonical)
    proofs = tuple(key.prove(alpha) for key in keys)
    return Identity(kind, creator, canonical, salt_of(proofs), proofs)


def salt_of(proofs: Sequence[bytes]) -> bytes:
    """Return the salt that the last of a name's proofs makes. Not established: that the proofs are valid."""
    return proof_to_hash(proofs[-1][PUBLIC_KEY_BYTES:])


def subjects_of(kind: SubjectKind, creator: int, identifier: str, proofs: Sequence[bytes]) -> list[bytes]:
    """Return the subjects that a name has under each of the keys, in their order. Not established: that the proofs are
    valid, and the spelling canonical. Raises RecordError for a creator that is out of range."""
    salts = (proof_to_hash(proof[PUBLIC_KEY_BYTES:]) for proof in proofs)
    return [subject(kind, creator, hashlib.sha256(salt + identifier.encode()).digest()) for salt in salts]


def verify_name(
    ledger: Deployed, kind: SubjectKind, creator: int, identifier: str, proofs: Sequence[bytes], hashes: Sequence[bytes]
) -> None:
    """Verify that proofs are those of a name, in canonical form, under keys with these hashes. Raises ProofError."""
    if not 0 < len(proofs) <= MAX_NAME_KEYS or len(hashes) != len(proofs):
        raise ProofError(f"a name has {len(proofs)} proofs for {len(hashes)} name keys")
    alpha = build_alpha(ledger, kind, creator, identifier)
    for proof, registered in zip(proofs, hashes, strict=True):
        if len(proof) != NAME_PROOF_BYTES:
            raise ProofError(f"key and proof of a name must have {NAME_PROOF_BYTES} bytes")
        key = proof[:PUBLIC_KEY_BYTES]
        if name_key_hash(key) != registered:
            raise ProofError("the proof is under another key than the one that its creator registered")
        verify_proof(key, alpha, proof[PUBLIC_KEY_BYTES:])
