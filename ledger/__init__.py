"""Millmark's Python library, for the programs of partners, factories and auditors.

    chain = Chain(Node(HttpTransport(url)), find_profile("besu-qbft"), read_deployment(path))
    store = open_store("sqlite:///millmark.sqlite")
    Follower(chain, store).follow()
    trace(store, "https://id.gs1.org/01/09506000134352/21/A0001").to_json()

Names are imported on first use, so that `import millmark.ledger` loads neither the chain nor the database code.
Modules: errors, ids, records, canonical, claims, merkle, evidence, keys, trust, bundle, verify, chain, store, submit,
index, provenance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.chain import (
        Chain,
        Deployment,
        EmbeddedChain,
        HttpTransport,
        Node,
        deploy,
        find_profile,
        read_deployment,
    )
    from millmark.ledger.claims import Claims, Disclosure, build_claims, verify_disclosure
    from millmark.ledger.errors import MillmarkError
    from millmark.ledger.evidence import EvidenceLog, build_inference_context
    from millmark.ledger.ids import Identity, SubjectKind, canonical_identifier
    from millmark.ledger.index import Follower
    from millmark.ledger.keys import LocalSigner, create_keystore, open_signer
    from millmark.ledger.provenance import build_bundle, recall, trace
    from millmark.ledger.signatures import Signer
    from millmark.ledger.store import Store, open_store
    from millmark.ledger.store.outbox import Outbox
    from millmark.ledger.submit import Submitter
    from millmark.ledger.trust import parse_trust
    from millmark.ledger.verify import verify_bundle

__all__ = [
    "Chain",
    "Claims",
    "Deployment",
    "Disclosure",
    "EmbeddedChain",
    "EvidenceLog",
    "Follower",
    "HttpTransport",
    "Identity",
    "LocalSigner",
    "MillmarkError",
    "Node",
    "Outbox",
    "Signer",
    "Store",
    "SubjectKind",
    "Submitter",
    "build_bundle",
    "build_claims",
    "build_inference_context",
    "canonical_identifier",
    "create_keystore",
    "deploy",
    "find_profile",
    "open_signer",
    "open_store",
    "parse_trust",
    "read_deployment",
    "recall",
    "trace",
    "verify_bundle",
    "verify_disclosure",
]

_HOMES = {
    "millmark.ledger.chain": (
        "Chain",
        "Deployment",
        "EmbeddedChain",
        "HttpTransport",
        "Node",
        "deploy",
        "find_profile",
        "read_deployment",
    ),
    "millmark.ledger.claims": ("Claims", "Disclosure", "build_claims", "verify_disclosure"),
    "millmark.ledger.errors": ("MillmarkError",),
    "millmark.ledger.evidence": ("EvidenceLog", "build_inference_context"),
    "millmark.ledger.ids": ("Identity", "SubjectKind", "canonical_identifier"),
    "millmark.ledger.index": ("Follower",),
    "millmark.ledger.keys": ("LocalSigner", "create_keystore", "open_signer"),
    "millmark.ledger.provenance": ("build_bundle", "recall", "trace"),
    "millmark.ledger.signatures": ("Signer",),
    "millmark.ledger.store": ("Store", "open_store"),
    "millmark.ledger.store.outbox": ("Outbox",),
    "millmark.ledger.submit": ("Submitter",),
    "millmark.ledger.trust": ("parse_trust",),
    "millmark.ledger.verify": ("verify_bundle",),
}

__getattr__ = import_on_use(__name__, _HOMES)
