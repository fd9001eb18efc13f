"""ECVRF over secp256k1, against vectors and against plain arithmetic."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import ProofError, SigningError
from millmark.ledger.names import PROOF_BYTES, SecretKey, proof_to_hash, verify_proof
from tests.support import plain_vrf as plain

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/vrf.json").read_text())
SECRET = st.integers(1, plain.Q - 1).map(lambda number: number.to_bytes(32, "big"))
ALPHA = st.binary(max_size=200)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["says"])
def test_vectors(case: dict[str, Any]) -> None:
    key, alpha, proof = (bytes.fromhex(case[name]) for name in ("public_key", "alpha", "proof"))
    if not case["holds"]:
        with pytest.raises(ProofError):
            verify_proof(key, alpha, proof)
        return
    secret = SecretKey(bytes.fromhex(case["secret"]))
    assert (secret.public_key, secret.prove(alpha)) == (key, proof)
    assert verify_proof(key, alpha, proof).hex() == case["output"]


def test_vectors_refuse_more_than_they_accept() -> None:
    held = [case["holds"] for case in VECTORS]
    assert held.count(False) > 2 * held.count(True) > 20


@given(SECRET, ALPHA)
def test_a_proof_is_that_of_plain_arithmetic(secret: bytes, alpha: bytes) -> None:
    key, number = SecretKey(secret), int.from_bytes(secret, "big")
    proof = key.prove(alpha)
    assert proof == plain.prove(number, alpha)
    assert plain.is_valid(key.public_key, alpha, proof)
    assert verify_proof(key.public_key, alpha, proof) == proof_to_hash(proof) == plain.output(proof)


@given(SECRET, ALPHA, st.integers(0, 8 * PROOF_BYTES - 1))
def test_no_bit_of_a_proof_can_change(secret: bytes, alpha: bytes, bit: int) -> None:
    key = SecretKey(secret)
    changed = (int.from_bytes(key.prove(alpha), "big") ^ 1 << bit).to_bytes(PROOF_BYTES, "big")
    with pytest.raises(ProofError):
        verify_proof(key.public_key, alpha, changed)


@given(SECRET, SECRET, ALPHA, ALPHA)
def test_another_key_or_input_is_refused(secret: bytes, other: bytes, alpha: bytes, beta: bytes) -> None:
    key, second = SecretKey(secret), SecretKey(other)
    proof = key.prove(alpha)
    if secret != other:
        with pytest.raises(ProofError):
            verify_proof(second.public_key, alpha, proof)
    if alpha != beta:
        with pytest.raises(ProofError):
            verify_proof(key.public_key, beta, proof)


@given(st.binary(max_size=70), ALPHA, st.binary(min_size=70, max_size=90))
def test_noise_is_refused(key: bytes, alpha: bytes, proof: bytes) -> None:
    with pytest.raises(ProofError):
        verify_proof(key, alpha, proof)


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\x01" * 31, plain.Q.to_bytes(32, "big"), b"\xff" * 32, "1" * 32])
def test_what_is_no_secret_key_is_refused_without_showing_it(secret: Any) -> None:
    with pytest.raises(SigningError) as caught:
        SecretKey(secret)
    assert not secret or str(secret) not in str(caught.value)


def test_a_secret_key_cannot_be_shown_or_copied() -> None:
    secret = b"\x07" * 32
    key = SecretKey(secret)
    assert secret.hex() not in repr(key)
    assert str(int.from_bytes(secret, "big")) not in repr(key)
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(SigningError):
            copying(key)
