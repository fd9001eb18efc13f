"""What is sealed in a hand-over: names, documents and a bundle (format: HANDOVER.md, "Content")."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_hex32, parse_json, to_hex
from millmark.ledger.claims import Claims, parse_claims
from millmark.ledger.errors import CanonicalError, ClaimsError, IdentifierError, RecordError
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.names import MAX_NAME_KEYS, NAME_PROOF_BYTES, salt_of
from millmark.services.handover.envelope import MAX_CONTENT_BYTES
from millmark.services.handover.erasures import Erasure
from millmark.services.handover.errors import HandoverRefusedError
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.leaves import OpenedLeaf, parse_opened_leaf

__all__ = ["MAX_LISTED", "Content", "encode_content", "parse_content"]

_MEMBERS = frozenset(("bundle", "documents", "entries", "erasures", "format", "names", "objectives", "version"))
_FORM, _VERSION = "millmark.handover-content", 1
MAX_LISTED = 4096
"""Most names, and most documents."""
_MAX_DEPTH = 40
_HINT = "ask its sender to send it again, and to update its program"


@dataclass(frozen=True, slots=True)
class Content:
    """What one company hands over to another. Not established: that any of it is true."""

    names: tuple[Identity, ...] = ()
    """Names of things beside those that the bundle names, ascending by subject."""
    documents: tuple[Claims, ...] = ()
    """Ascending by claims root. Of a field that the recipient does not get, only the leaf hash is in it."""
    erasures: tuple[Erasure, ...] = ()
    """Ascending. Fields of documents that were handed over before, and are to be erased."""
    entries: tuple[OpenedLeaf, ...] = ()
    """Entries of the stream that the record anchored, ascending by index."""
    objectives: tuple[Json, ...] = ()
    """The objectives of the calls among `entries`, ascending by their canonical JSON."""
    bundle: bytes = b""
    """A bundle; empty if there is no lot to prove anything about."""


def encode_content(content: Content) -> bytes:
    """The content as bytes, which are then encrypted."""
    shown: Json = {
        "bundle": len(content.bundle),
        "documents": [claims.to_json() for claims in sorted(content.documents, key=lambda one: one.root)],
        "entries": [one.to_json() for one in sorted(content.entries, key=lambda one: one.index)],
        "erasures": [_erasure(one) for one in sorted(content.erasures)],
        "format": _FORM,
        "names": [_name(one) for one in sorted(content.names, key=lambda one: one.subject)],
        "objectives": sorted(content.objectives, key=canonical_json),
        "version": _VERSION,
    }
    return canonical_json(shown) + b"\n" + content.bundle


def parse_content(data: bytes) -> Content:
    """Parses a content. Raises HandoverRefusedError unless it is complete and in canonical form."""
    line, _, bundle = data.partition(b"\n")
    try:
        value = parse_json(line, max_bytes=MAX_CONTENT_BYTES, max_depth=_MAX_DEPTH)
        if not isinstance(value, dict) or value.keys() != _MEMBERS:
            raise HandoverRefusedError("its content is malformed", hint=_HINT)
        if value["format"] != _FORM or value["version"] is True or value["version"] != _VERSION:
            raise HandoverRefusedError(f"its content is not {_FORM} of version {_VERSION}", hint="update this program")
        content = Content(
            tuple(map(_parse_name, _listed(value["names"]))),
            tuple(map(parse_claims, _listed(value["documents"]))),
            tuple(map(_parse_erasure, _listed(value["erasures"]))),
            tuple(map(parse_opened_leaf, _listed(value["entries"]))),
            tuple(_listed(value["objectives"])),
            bundle,
        )
    except (CanonicalError, ClaimsError, IdentifierError, PlanningError, RecordError) as error:
        raise HandoverRefusedError(f"its content is malformed: {error.cause}", hint=_HINT) from None
    # Encoded again, so that one content has one text: also its length, and the order of names and documents.
    if encode_content(content) != data or value["bundle"] != len(bundle):
        raise HandoverRefusedError("its content is not in canonical form, or truncated", hint=_HINT)
    _verify_once([one.subject for one in content.names])
    _verify_once([one.root for one in content.documents])
    _verify_once([one.root + one.path.encode() for one in content.erasures])
    _verify_once([one.index.to_bytes(8, "big") for one in content.entries])
    _verify_once(map(canonical_json, content.objectives))
    return content


def _verify_once(found: Iterable[bytes]) -> None:
    listed = list(found)
    if len(set(listed)) != len(listed):
        raise HandoverRefusedError("its content has a name, document, entry or erasure twice", hint=_HINT)


def _name(identity: Identity) -> Json:
    return {
        "creator": identity.creator,
        "identifier": identity.identifier,
        "kind": identity.kind.name.lower(),
        "proofs": [base64.urlsafe_b64encode(proof).rstrip(b"=").decode() for proof in identity.proofs],
    }


def _parse_name(value: Json) -> Identity:
    if not isinstance(value, dict) or value.keys() != {"creator", "identifier", "kind", "proofs"}:
        raise HandoverRefusedError("its content has a malformed name", hint=_HINT)
    creator, identifier, kind = value["creator"], value["identifier"], value["kind"]
    kinds = {one.name.lower(): one for one in SubjectKind}
    proofs = tuple(_proof(one) for one in _listed(value["proofs"]))
    if (
        isinstance(creator, bool)
        or not isinstance(creator, int)
        or not 0 < creator <= MAX_SAFE_INTEGER
        or not isinstance(identifier, str)
        or not isinstance(kind, str)
        or kind not in kinds
        or not 0 < len(proofs) <= MAX_NAME_KEYS
    ):
        raise HandoverRefusedError("its content has a malformed name", hint=_HINT)
    try:
        return Identity(kinds[kind], creator, identifier, salt_of(proofs), proofs)
    except ValueError:
        raise HandoverRefusedError("its content has a malformed name", hint=_HINT) from None


def _erasure(erasure: Erasure) -> Json:
    return {
        "contract": erasure.contract,
        "path": erasure.path,
        "record": erasure.record,
        "root": to_hex(erasure.root),
        "signature": to_hex(erasure.signature),
    }


def _parse_erasure(value: Json) -> Erasure:
    if not isinstance(value, dict) or value.keys() != {"contract", "path", "record", "root", "signature"}:
        raise HandoverRefusedError("its content has a malformed erasure", hint=_HINT)
    contract, path, record, root, signature = (
        value[one] for one in ("contract", "path", "record", "root", "signature")
    )
    if (
        not isinstance(contract, str)
        or not isinstance(path, str)
        or isinstance(record, bool)
        or not isinstance(record, int)
        or not 0 < record <= MAX_SAFE_INTEGER
        or not isinstance(root, str)
        or not isinstance(signature, str)
        or not re.fullmatch("0x[0-9a-f]{130}", signature)
    ):
        raise HandoverRefusedError("its content has a malformed erasure", hint=_HINT)
    return Erasure(parse_hex32(root), path, contract, record, bytes.fromhex(signature[2:]))


def _proof(value: Json) -> bytes:
    try:
        proof = base64.urlsafe_b64decode(f"{value}===") if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        proof = b""
    if len(proof) != NAME_PROOF_BYTES:
        raise HandoverRefusedError("its content has a malformed proof of a name", hint=_HINT)
    return proof


def _listed(value: Json) -> list[Json]:
    if not isinstance(value, list) or len(value) > MAX_LISTED:
        raise HandoverRefusedError(f"its content has no list of at most {MAX_LISTED} entries in a place", hint=_HINT)
    return value
