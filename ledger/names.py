"""Names: the salt of an identifier is not chosen, but follows from its creator's name key (IDENTIFIERS.md, "Salt").

So one creator can show an identifier for one subject only. The name key is separate from all signing keys: it signs
nothing, and the Registry has its hash. If a company replaces it, a name is proved under every key up to its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NoReturn, Protocol

from millmark.ledger.errors import ProofError, SigningError
from millmark.ledger.ids import Identity, SubjectKind, canonical_identifier, subject
from millmark.ledger.vrf import PROOF_BYTES, PUBLIC_KEY_BYTES, SecretKey, proof_to_hash, verify_proof

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
