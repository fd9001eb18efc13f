"""Public test data, and the keys and credentials shared by the tests of the standards."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from millmark.ledger.records import Verdict
from millmark.services.interop.credentials.certificate import CertificateFacts
from millmark.services.interop.credentials.keys import CredentialKey, Ed25519Key, P256Key, add_proof, did_key
from millmark.services.interop.credentials.model import BASE_CONTEXT

__all__ = [
    "CORPUS",
    "DID",
    "ED25519",
    "FACTS",
    "GS1_TWICE",
    "KEYS",
    "LISTS",
    "MINIMAL",
    "NOW",
    "P256",
    "SECRET",
    "broken_copies",
    "self_issued",
]

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
"""Folder of public test data, if it is on this machine. Tests are collected from its content."""
GS1_TWICE = "AssociationEvent-h"
"""The one document of GS1's whose event has the member `eventID` twice, with two values: it has no single meaning."""

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SECRET = bytes(range(32))
ED25519 = Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(SECRET))
P256 = P256Key(ec.derive_private_key(int.from_bytes(SECRET, "big"), ec.SECP256R1()))
KEYS: list[CredentialKey] = [ED25519, P256]
DID = "did:web:inspector.example"
LISTS = "https://inspector.example/status/0"
MINIMAL: dict[str, Any] = {
    "@context": [BASE_CONTEXT],
    "type": ["VerifiableCredential"],
    "issuer": DID,
    "credentialSubject": {"id": "did:example:subject"},
}


def self_issued(key: CredentialKey, **members: Any) -> dict[str, Any]:
    method = did_key(key.public)
    return add_proof(
        {**MINIMAL, "issuer": method.partition("#")[0], **members}, key, method, created="2026-05-01T00:00:00Z"
    )


def broken_copies(
    path: Path, count: int, values: Sequence[Any], names: Sequence[str], *, rename: bool = False
) -> Iterator[Any]:
    """Copies of a JSON document, each with one change, the same in every run: a member or an item is removed, repeated,
    added, made one of `values` or, with `rename`, given another name."""
    chance = random.Random(path.stem)  # noqa: S311 - the same copies in every run
    for _ in range(count):
        document = json.loads(path.read_text(encoding="utf-8"))
        holder, key = chance.choice(list(_places(document)))
        match chance.randrange(5 if rename else 4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = copy.deepcopy(chance.choice(values))
            case 2 if isinstance(holder, dict):
                holder[chance.choice(names)] = copy.deepcopy(chance.choice(values))
            case 3 if rename and isinstance(holder, dict):
                holder[f"{key}x"] = holder.pop(key)
            case _ if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
        yield document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in `value` with each of its keys."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


FACTS = CertificateFacts(
    chain_id=31337,
    ledger=b"\x11" * 20,
    sequence=131_077,
    lot=b"\x22" * 32,
    identifier="https://id.gs1.org/01/09506000013459/21/A0001",
    inspector=4,
    model=9,
    inference_digest=b"\x33" * 32,
    verdict=Verdict.PASS,
    claims_root=b"\x44" * 32,
    issued_at=1_767_225_600,
    expires_at=1_830_297_600,
)
