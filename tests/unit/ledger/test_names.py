"""Names: which salt an identifier has, and why its creator cannot choose another."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import IdentifierError, ProofError, SigningError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.keys import LocalSigner, create_keystore, open_name_key
from millmark.ledger.names import NameKey, SecretKey, build_alpha, derive_identity, salt_of, subjects_of, verify_name
from tests.support import plain_vrf
from tests.support.bundle_vector import vector_bundle

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/names.json").read_text())


@dataclass(frozen=True)
class Place:
    chain_id: int = 1
    ledger: bytes = b"\x11" * 20
    ledger_id: bytes = b"\x22" * 32


HERE, KEYS = Place(), [NameKey(bytes([n]) * 32) for n in (1, 2, 3)]
URN = "urn:example:a"


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['identifier'][:12]}: {case['says']}")
def test_vectors(case: dict[str, Any]) -> None:
    place = Place(case["chain_id"], bytes.fromhex(case["ledger"]), bytes.fromhex(case["ledger_id"]))
    proofs, hashes = ([bytes.fromhex(one) for one in case[name]] for name in ("proofs", "hashes"))
    kind, creator, identifier = SubjectKind(case["kind"]), case["creator"], case["identifier"]
    if not case["holds"]:
        with pytest.raises(ProofError):
            verify_name(place, kind, creator, identifier, proofs, hashes)
        return
    verify_name(place, kind, creator, identifier, proofs, hashes)
    assert [salt_of(proofs[: n + 1]).hex() for n in range(len(proofs))] == case["salts"]


def test_vectors_refuse_more_than_they_accept() -> None:
    held = [case["holds"] for case in VECTORS]
    assert held.count(False) > 2 * held.count(True) > 4


def test_the_names_of_the_vector_bundle_are_those_of_plain_arithmetic() -> None:
    """IDENTIFIERS.md, "Salt"."""
    bundle = vector_bundle()
    place = bundle.chain_id.to_bytes(8, "big") + bundle.ledger + bundle.ledger_id
    assert bundle.identities
    for one in bundle.identities:
        named = bytes([one.kind]) + one.creator.to_bytes(4, "big") + one.identifier.encode()
        [proof] = one.proofs
        assert plain_vrf.is_valid(proof[:33], b"millmark.name.v1\0" + place + named, proof[33:])
        assert one.salt == plain_vrf.output(proof[33:])


def test_a_name_has_one_subject_for_each_key_and_the_last_one_counts() -> None:
    identity = derive_identity(HERE, KEYS, SubjectKind.LOT, 7, "URN:EXAMPLE:a")
    hashes = [key.hash for key in KEYS]
    verify_name(HERE, SubjectKind.LOT, 7, URN, identity.proofs, hashes)
    subjects = subjects_of(SubjectKind.LOT, 7, URN, identity.proofs)
    assert len(set(subjects)) == 3
    assert subjects[-1] == identity.subject
    assert subjects[0] == derive_identity(HERE, KEYS[:1], SubjectKind.LOT, 7, URN).subject
    assert identity == derive_identity(HERE, KEYS, SubjectKind.LOT, 7, URN)


def test_ledger_kind_creator_and_identifier_each_change_the_salt() -> None:
    places = (HERE, replace(HERE, chain_id=2), replace(HERE, ledger=bytes(20)), replace(HERE, ledger_id=bytes(32)))
    salts = {
        derive_identity(place, KEYS[:1], kind, creator, identifier).salt
        for place in places
        for kind in (SubjectKind.LOT, SubjectKind.ORDER)
        for creator in (1, 2)
        for identifier in (URN, URN + "b")
    }
    assert len(salts) == 4 * 2 * 2 * 2


def test_what_cannot_be_named() -> None:
    with pytest.raises(SigningError, match="no name key"):
        derive_identity(HERE, [], SubjectKind.LOT, 1, URN)
    with pytest.raises(IdentifierError):
        derive_identity(HERE, KEYS, SubjectKind.LOT, 1, "A7")
    for place, creator in ((replace(HERE, chain_id=2**64), 1), (HERE, 2**32), (HERE, -1)):
        with pytest.raises(ProofError, match="cannot be proved"):
            build_alpha(place, SubjectKind.LOT, creator, URN)
    with pytest.raises(SigningError, match="32 bytes"):
        NameKey(b"short")


def test_no_more_keys_than_a_verifier_accepts() -> None:
    identity = derive_identity(HERE, KEYS[:1], SubjectKind.LOT, 1, URN)
    with pytest.raises(ProofError, match="65 proofs"):
        verify_name(HERE, SubjectKind.LOT, 1, URN, identity.proofs * 65, [KEYS[0].hash] * 65)


def test_a_name_key_is_kept_like_a_signing_key_but_is_another(tmp_path: Path) -> None:
    """A signature and a proof by one key could share a nonce, and reveal the key."""
    signer, passphrase = LocalSigner.generate(), tmp_path / "passphrase"
    passphrase.write_text("only for names\n")
    passphrase.chmod(0o600)
    create_keystore(tmp_path / "names.json", "only for names", signer=signer, scrypt_cost=2)
    secret = signer.unsafe_secret()
    assert secret.hex() not in (tmp_path / "names.json").read_text()
    key = open_name_key(f"keystore:{tmp_path / 'names.json'}", passphrase_file=passphrase)
    assert key.public_key == NameKey(secret).public_key
    assert key.public_key != SecretKey(secret).public_key


def test_a_name_key_cannot_be_shown_or_copied() -> None:
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(SigningError):
            copying(KEYS[0])
    assert repr(KEYS[0]) == f"NameKey({KEYS[0].public_key.hex()})"
