"""What verifying a proof came to is remembered for the same two files, and no longer than it is true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.events.certificates import OpeningDemanded
from millmark.ledger.store import Store
from millmark.ledger.verify import Step
from millmark.services.portal.proofs import Proof, Proofs, kept_names
from tests.support.bundle_content import event_in
from tests.support.bundle_vector import vector_bundle, vector_bytes, vector_now, vector_trust
from tests.support.stores import new_store

LOT = b"\x11" * 32


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("proofs")) as store:
        yield store


@pytest.fixture
def proofs(store: Store, tmp_path: Path) -> Proofs:
    """Keeps the vector's two files under `LOT`."""
    put(tmp_path, vector_bytes(), vector_trust().to_bytes())
    return Proofs(store, None, tmp_path)


def put(folder: Path, *files: bytes) -> None:
    for name, content in zip(kept_names(LOT), files, strict=True):
        (folder / name).write_bytes(content)


def fetch(proofs: Proofs, now_s: int) -> Proof:
    found = proofs.fetch(LOT, None, now_s)
    assert isinstance(found, Proof)
    return found


def deadline() -> int:
    """Of the demand to open a part's certificate: what comes first of all that time alone changes."""
    demanded = [one for one in vector_bundle().records if one.kind == "OpeningDemanded"][-1]
    return event_in(demanded, OpeningDemanded).deadline


def test_the_same_file_is_verified_once(proofs: Proofs) -> None:
    first = fetch(proofs, vector_now())
    assert first.report is not None
    assert first.refused is None
    assert fetch(proofs, vector_now()) is first
    assert fetch(proofs, deadline() - 1) is first


def test_it_is_verified_anew_when_time_makes_another_of_it(proofs: Proofs) -> None:
    first = fetch(proofs, vector_now())
    later = fetch(proofs, deadline())
    assert first.refused is None
    assert later.refused is not None
    assert later.refused.step is Step.STATUS
    assert fetch(proofs, deadline() + 1) is later
    assert fetch(proofs, vector_now()).refused is None, "a clock that is set back"


def test_a_file_that_changed_is_verified_anew(proofs: Proofs, tmp_path: Path) -> None:
    first = fetch(proofs, vector_now())
    put(tmp_path, vector_bytes()[:-9], vector_trust().to_bytes())
    assert fetch(proofs, vector_now()).refused is not None
    other = replace(vector_trust(), chain_id=vector_trust().chain_id + 1)
    put(tmp_path, vector_bytes(), other.to_bytes())
    refused = fetch(proofs, vector_now()).refused
    assert refused is not None
    assert refused.step is Step.TRUST
    put(tmp_path, vector_bytes(), vector_trust().to_bytes())
    assert fetch(proofs, vector_now()) is first
