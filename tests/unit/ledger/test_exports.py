"""The library's public names, pinned: a change here is a change for every partner."""

from millmark import ledger

PINNED = [
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


def test_the_public_names_are_these() -> None:
    assert ledger.__all__ == PINNED


def test_every_public_name_is_there() -> None:
    for name in ledger.__all__:
        assert getattr(ledger, name).__module__.startswith("millmark.ledger."), name
