"""Erasures: signed statements by which the author of a document asks those who were handed it to erase a field.

An erasure concerns the document behind a claims root, so it travels wherever that document was handed over: each
gateway that erased a field tells those to whom it had handed the document over itself. Not established: that a copy is
gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import canonical_json, keccak256, parse_json, sha256
from millmark.ledger.claims import Claims, Path
from millmark.ledger.errors import ClaimsError, SigningError
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signature, Signer, recover_address
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import ChainIdentityRow, KeyRow, RecordRow
from millmark.services.directory.recipient_keys import typed_digest
from millmark.services.handover.errors import HandoverRefusedError

__all__ = ["Erasure", "apply_erasures", "find_commitment", "parse_path", "sign_erasure", "verify_erasure", "write_path"]

_TYPE = keccak256(b"Erasure(bytes32 root,bytes32 path)")
_MAX_PATH_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, order=True)
class Erasure:
    """That a field, or all fields below a path, of the document with a claims root are to be erased."""

    root: bytes
    path: str
    """Canonical JSON of the path."""
    contract: str
    """millmark.ledger.records.Contract of the record; empty for an erasure of one's own, which is not passed on."""
    record: int
    """The record that commits to the document. Its author is whose statement this is."""
    signature: bytes
    """65 bytes; empty for one's own, until it is handed over."""


def parse_path(text: str) -> Path:
    """Raises HandoverRefusedError unless it is a path in canonical JSON."""
    found = parse_json(text.encode(), max_bytes=_MAX_PATH_BYTES, max_depth=1)
    if not isinstance(found, list) or canonical_json(found) != text.encode():
        raise HandoverRefusedError("an erasure in it has a malformed path", hint="ask its sender to send it again")
    return tuple(step if isinstance(step, str) else int(step) for step in found if isinstance(step, str | int))


def sign_erasure(ledger: ChainIdentityRow, erasure: Erasure, signer: Signer) -> Erasure:
    """The erasure with a signature; unchanged if it has one. Raises SigningError."""
    if erasure.signature:
        return erasure
    signature = signer.sign_digest(_digest(ledger, erasure)).to_bytes()
    return Erasure(erasure.root, erasure.path, erasure.contract, erasure.record, signature)


def verify_erasure(rows: Rows, ledger: ChainIdentityRow, erasure: Erasure) -> None:
    """Verifies that the author of the record asks for it. Raises HandoverRefusedError."""
    parse_path(erasure.path)
    found = rows.find(RecordRow, contract=erasure.contract, sequence=erasure.record)
    if not found or erasure.root not in found[0].event().roots():
        raise HandoverRefusedError(f"record {erasure.record} does not commit to a document that is to be erased")
    try:
        signer = recover_address(_digest(ledger, erasure), Signature.from_bytes(erasure.signature))
    except SigningError as error:
        raise HandoverRefusedError(f"the signature of an erasure is invalid: {error.cause}") from None
    key = rows.get(KeyRow, signer)
    # A key that was replaced since still counts, because statements are passed on; a compromised one does not.
    if key is None or key.participant != found[0].participant or key.compromised_since:
        raise HandoverRefusedError("an erasure in it is not signed by the document's author")


def find_commitment(rows: Rows, root: bytes, author: int) -> tuple[str, int]:
    """Contract and sequence of a company's record that commits to a document; ("", 0) if it made none.

    Reads all of its records: documents are not indexed by root, and erasures are rare.
    """
    for contract in Contract:
        for row in rows.find(RecordRow, contract=contract.value, participant=author):
            if root in row.event().roots():
                return contract.value, row.sequence
    return "", 0


def apply_erasures(claims: Claims, erasures: Iterable[Erasure]) -> Claims:
    """The claims without the fields that are to be erased. Paths that select none are passed over."""
    for erasure in erasures:
        try:
            claims = claims.erase([parse_path(erasure.path)])
        except ClaimsError:
            continue
    return claims


def write_path(path: Sequence[str | int]) -> str:
    """The canonical JSON of a path."""
    return canonical_json(list(path)).decode()


def _digest(ledger: ChainIdentityRow, erasure: Erasure) -> bytes:
    return typed_digest(ledger.chain_id, ledger.ledger, _TYPE + erasure.root + sha256(erasure.path.encode()))
