"""Measured windows on a passport: only what the proof opens, and of a private model no threshold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from millmark.ledger.bundle import InferenceShown
from millmark.ledger.records import Verdict
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import ModelRow
from millmark.quality import model_digest
from millmark.quality.inference import MAX_FIXED, pack_window
from millmark.services.portal.pages import read_catalogues
from millmark.services.portal.passports import MOST_WINDOWS, OpenedWindow, build_opened_windows
from tests.support.bundle_vector import vector_bundle, vector_bytes, vector_now, vector_trust
from tests.support.fake_world import INSPECTOR, World, build_world
from tests.support.stores import new_store
from tests.unit.services.test_portal_inspections import CARD, MODEL, THRESHOLD

PART = "hip 1"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("windows")) as store:
        yield build_world(store)


def keep_model(store: Store, model: int, *, published: bool) -> None:
    with store.transaction() as connection:
        rows = Rows(connection)
        row = rows.get(ModelRow, model)
        assert row is not None
        rows.update([replace(row, digest=model_digest(MODEL), code=bytes(20) if published else None)])
        Book(connection).put_model(model_digest(MODEL), MODEL, CARD)


def opened(record: int, *logits: int, window: Sequence[int] = (5, -7)) -> InferenceShown:
    return InferenceShown(record, bytes(32), pack_window(window), logits)


def build(world: World, *shown: InferenceShown) -> tuple[OpenedWindow, ...]:
    return build_opened_windows(world.store, world.lots[PART], shown, read_catalogues()["en"])


def test_a_proof_that_opens_nothing_shows_nothing(world: World) -> None:
    assert build(world) == ()


def test_of_a_published_model_score_and_threshold_are_shown(world: World) -> None:
    keep_model(world.store, world.model, published=True)
    [one] = build(world, opened(world.certificates[PART], 17))
    assert (one.score, one.threshold, one.least, one.greatest, one.count) == (17, THRESHOLD, "-0.000007", "0.000005", 2)


def test_of_a_private_model_neither_threshold_nor_scale_are_shown(world: World) -> None:
    keep_model(world.store, world.model, published=False)
    [one] = build(world, opened(world.certificates[PART], 17))
    assert (one.score, one.threshold, one.least, one.greatest) == (17, None, "-7", "5")
    [several] = build(world, opened(world.certificates[PART], 17, 18))
    assert several.score is None, "which logits count, only the model says"


def test_the_parts_own_verdicts_come_first(world: World) -> None:
    own, other = world.certificates[PART], world.certificates["hip 3"]
    assert [one.certificate.certificate for one in build(world, opened(other, 1), opened(own, 1))] == [own, other]


def test_many_are_bounded_and_the_page_stays_small(world: World) -> None:
    fake = world.fake
    numbers = [
        fake.certify(world.lots["rail blank"], INSPECTOR, world.model, Verdict.PASS, world.stream) for _ in range(12)
    ]
    world.follow()
    window = [MAX_FIXED * (-1) ** place for place in range(4096)]
    found = build(world, *(opened(number, 2**31 - 1, window=window) for number in numbers))
    assert len(found) == MOST_WINDOWS
    assert sum(len(one.picture) for one in found) < 16_000


def test_what_the_index_does_not_have_is_left_out(world: World) -> None:
    assert build(world, opened(10**9, 1)) == ()


def test_a_window_that_is_none_has_no_line(world: World) -> None:
    [one] = build(world, InferenceShown(world.certificates[PART], bytes(32), b"abc", ()))
    assert (one.count, one.score) == (0, None)


def test_what_a_proof_opens_is_that_of_its_bundle(tmp_path_factory: pytest.TempPathFactory) -> None:
    from millmark.services.portal.proofs import Proof, Proofs, kept_names  # noqa: PLC0415 - next to what it is for

    folder = tmp_path_factory.mktemp("kept")
    for name, content in zip(kept_names(bytes(32)), (vector_bytes(), vector_trust().to_bytes()), strict=True):
        (folder / name).write_bytes(content)
    with new_store(folder) as store:
        proof = Proofs(store, None, folder).fetch(bytes(32), None, vector_now())
        assert isinstance(proof, Proof)
        assert proof.inferences == vector_bundle().inferences != ()
        (folder / kept_names(bytes(32))[0]).write_bytes(vector_bytes().replace(b'"chain_id":1', b'"chain_id":2', 1))
        refused = Proofs(store, None, folder).fetch(bytes(32), None, vector_now())
        assert not isinstance(refused, Proof) or (refused.report is None and refused.inferences == ())
