"""Writes a bundle: canonical JSON (RFC 8785), bytes as base64url without padding (RFC 4648 section 5)."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace

from millmark.ledger.bundle import _model as layout
from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.seals import Seals

_STANDARD_TO_URL = bytes.maketrans(b"+/", b"-_")


def encode_bundle(bundle: layout.Bundle) -> bytes:
    """Return the file's content. Raises CanonicalError for a value that canonical JSON cannot represent.

    Only disclosed JSON goes through the general encoder, which is too slow for the 65,000 trie nodes that a bundle may
    have; for everything else, canonical form only requires the members to be sorted.
    """
    return encode_disclosed(bundle) + _encode_frame(bundle)


def digest_of(bundle: layout.Bundle) -> bytes:
    """Return the SHA-256 of the file's content without its seals, 32 bytes: nodes hold different seals of one block.
    Raises CanonicalError."""
    return sha256(encode_bundle(replace(bundle, seals=None)))


def encode_disclosed(bundle: layout.Bundle) -> bytes:
    """Return the file's content up to the headers, which has all disclosed JSON. Raises CanonicalError."""
    members = {
        "bundle_version": b"%d" % layout.BUNDLE_VERSION,
        "chain_id": b"%d" % bundle.chain_id,
        "claims": _array(map(_claims, bundle.claims)),
        "contracts": _texts(bundle.contracts),
        "evidence": _array(map(_evidence, bundle.evidence)),
    }
    return b"{" + _joined(members)


def _encode_frame(bundle: layout.Bundle) -> bytes:
    """Return the file's content from the headers on."""
    members = {
        "headers": _texts(bundle.headers),
        "histories": _array(map(_history, bundle.histories)),
        "identities": _array(map(_identity, bundle.identities)),
        "inferences": _array(map(_inference, bundle.inferences)),
        "keys": _texts(bundle.keys),
        "ledger": _text(bundle.ledger),
        "ledger_id": _text(bundle.ledger_id),
        "machines": _numbers(bundle.machines),
        "models": _numbers(bundle.models),
        "nodes": _texts(bundle.nodes),
        "participants": _numbers(bundle.participants),
        "parts": _texts(bundle.parts),
        "records": _array(map(_record, bundle.records)),
        "registry": _text(bundle.registry),
        "seals": _seals(bundle.seals),
        "signatures": _texts(bundle.signatures),
        "streams": _texts(bundle.streams),
    }
    return b"," + _joined(members) + b"}"


def _joined(members: Mapping[str, bytes]) -> bytes:
    return b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items())


def text_of(value: bytes) -> str:
    """Encode bytes as base64url without padding, the form used in bundles."""
    return _base64url(value).decode()


def _history(history: layout.HistoryShown) -> bytes:
    links = _array(
        _withheld(link) if isinstance(link, layout.WithheldRecord) else b"%d" % link for link in history.records
    )
    return b'{"records":%s,"subject":%s}' % (links, _text(history.subject))


def _withheld(withheld: layout.WithheldRecord) -> bytes:
    return b'["%s",%s]' % (withheld.kind.encode(), _text(withheld.inner))


def _record(record: layout.RecordShown) -> bytes:
    numbers = b"%d,%d,%d" % (record.sequence, record.participant, record.block_time)
    return b'["%s",%s,%s]' % (record.kind.encode(), numbers, _text(record.data))


def _identity(identity: layout.IdentityShown) -> bytes:
    value: Json = {
        "creator": identity.creator,
        "identifier": identity.identifier,
        "kind": identity.kind.name.lower(),
        "proofs": [text_of(proof) for proof in identity.proofs],
    }
    return canonical_json(value)


def _claims(claims: layout.ShownClaims) -> bytes:
    disclosure = canonical_json(claims.disclosure.to_json())
    return b'{"disclosure":%s,"record":%d,"root":%d}' % (disclosure, claims.record, claims.root)


def _evidence(evidence: layout.ShownEvidence) -> bytes:
    shown = b"null"
    if evidence.shown is not None:
        entry = evidence.shown
        shown = canonical_json({"entry": entry.entry, "kind": int(entry.kind), "salt": text_of(entry.salt)})
    proofs = b'"consistency":%s,"inclusion":%s' % (_texts(evidence.consistency), _texts(evidence.inclusion))
    return b'{%s,"record":%d,"shown":%s}' % (proofs, evidence.record, shown)


def _inference(inference: layout.InferenceShown) -> bytes:
    opened = b'"salt":%s,"window":%s' % (_text(inference.salt), _text(inference.window))
    return b'{"logits":%s,"record":%d,%s}' % (_numbers(inference.logits), inference.record, opened)


def _seals(shown: layout.SealsShown | None) -> bytes:
    if shown is None:
        return b"null"
    changes = (b'{"header":%s,%s}' % (_text(one.header), _round(one.seals)) for one in shown.changes)
    return b'{"changes":%s,%s}' % (_array(changes), _round(shown.seals))


def _round(seals: Seals) -> bytes:
    return b'"round":%d,"seals":%s' % (seals.round, _texts(seals.seals))


def _array(items: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _texts(values: Iterable[bytes]) -> bytes:
    return _array(map(_text, values))


def _numbers(values: Iterable[int]) -> bytes:
    return _array(b"%d" % value for value in values)


def _text(value: bytes) -> bytes:
    return b'"%s"' % _base64url(value)


def _base64url(value: bytes) -> bytes:
    return binascii.b2a_base64(value, newline=False).rstrip(b"=").translate(_STANDARD_TO_URL)
