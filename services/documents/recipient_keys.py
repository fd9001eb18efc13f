"""Statements by which a participant declares its X25519 key. They are signed with a registered key of the participant,
so that no gateway can substitute another key.

The signature is over EIP-712 typed data in the domain of checkpoints (ledger.checkpoint):

    message     DocumentKey(uint32 participant,bytes32 publicKey,uint64 issuedAt)
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.canonical import keccak256
from ledger.errors import SigningError
from ledger.signatures import Address, Signature, Signer, recover_address
from services.documents.errors import RecipientKeyError

__all__ = ["KeyStatement", "recover_statement_signer", "sign_statement"]

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_STATEMENT_TYPE = keccak256(b"DocumentKey(uint32 participant,bytes32 publicKey,uint64 issuedAt)")
_NAME, _VERSION = keccak256(b"Millmark"), keccak256(b"1")


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """The statement that a participant opens documents with a key, on one ledger."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    participant: int
    public_key: bytes
    """X25519, 32 bytes."""
    issued_at: int
    """Seconds since 1970. A later statement replaces an earlier one."""

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        domain = keccak256(_DOMAIN_TYPE + _NAME + _VERSION + _word(self.chain_id) + self.ledger.rjust(32, b"\0"))
        words = _word(self.participant) + self.public_key + _word(self.issued_at)
        return keccak256(b"\x19\x01" + domain + keccak256(_STATEMENT_TYPE + words))


def sign_statement(statement: KeyStatement, signer: Signer) -> bytes:
    """Returns 65 bytes: r, s and v = 27 or 28. Raises SigningError."""
    return signer.sign_digest(statement.digest).to_bytes()


def recover_statement_signer(statement: KeyStatement, signature: bytes) -> Address:
    """The address that signed. Raises RecipientKeyError for an invalid signature. Not established: whose key it is."""
    try:
        return recover_address(statement.digest, Signature.from_bytes(signature))
    except SigningError as error:
        raise RecipientKeyError(f"the statement's signature is invalid: {error.cause}") from None


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
