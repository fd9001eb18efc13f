"""Statements by which a company declares its X25519 key, to which others encrypt for it. They are signed with a key of
the company, so that neither a gateway nor the operator can substitute another key.

The signature is over EIP-712 typed data in the domain of checkpoints (millmark.ledger.checkpoint):

    message     DocumentKey(bytes32 publicKey,uint64 issuedAt)

No participant is named, so that a company can state its key before it is admitted: the statement is that of the
participant for which the signing key is registered, at the time at which the statement is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import SigningError
from millmark.ledger.signatures import Address, Signature, Signer, recover_address
from millmark.ledger.store import Registry
from millmark.services.directory.errors import RecipientKeyError

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_STATEMENT_TYPE = keccak256(b"DocumentKey(bytes32 publicKey,uint64 issuedAt)")
_NAME, _VERSION = keccak256(b"Millmark"), keccak256(b"1")
_HINT = "the company makes a new statement with `millmark documents keys sign`"


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """A signed statement that its signer's company decrypts with a key, on one ledger. Not established: by whom."""

    public_key: bytes
    """X25519, 32 bytes."""
    issued_at: int
    """Seconds since 1970. A later statement replaces an earlier one."""
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises RecipientKeyError for an invalid signature.

        A statement for another ledger has another signer.
        """
        digest = _digest(chain_id, ledger, self.public_key, self.issued_at)
        try:
            return recover_address(digest, Signature.from_bytes(self.signature))
        except SigningError as error:
            raise RecipientKeyError(f"the statement's signature is invalid: {error.cause}", hint=_HINT) from None


def sign_statement(chain_id: int, ledger: bytes, public_key: bytes, issued_at: int, signer: Signer) -> KeyStatement:
    """Raises SigningError."""
    signature = signer.sign_digest(_digest(chain_id, ledger, public_key, issued_at)).to_bytes()
    return KeyStatement(public_key, issued_at, signature)


def verify_statement(registry: Registry, participant: int, statement: KeyStatement) -> Address:
    """Returns the signer. Raises RecipientKeyError unless it is an active key of the participant, for this ledger.

    To be called at every use, not once when the statement arrives: revoking the signing key also ends the recipient key
    that it signed.
    """
    identity = registry.identity()
    if identity is None:
        raise RecipientKeyError("nothing is indexed yet", hint="follow the chain first")
    signer = statement.recover_signer(identity.chain_id, identity.ledger)
    found = registry.participant_of(signer)
    if found is None or found.number != participant:
        raise RecipientKeyError(
            f"the recipient key of participant {participant} is not signed by an active key of it", hint=_HINT
        )
    return signer


def typed_digest(chain_id: int, ledger: bytes, message: bytes) -> bytes:
    """The 32 bytes to sign for a message of this domain (EIP-712), from its type hash and its words."""
    domain = keccak256(_DOMAIN_TYPE + _NAME + _VERSION + chain_id.to_bytes(32, "big") + ledger.rjust(32, b"\0"))
    return keccak256(b"\x19\x01" + domain + keccak256(message))


def _digest(chain_id: int, ledger: bytes, public_key: bytes, issued_at: int) -> bytes:
    return typed_digest(chain_id, ledger, _STATEMENT_TYPE + public_key + issued_at.to_bytes(32, "big"))
