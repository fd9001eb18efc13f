"""What `millmark quality monitor` says, out of a store that holds just what it looks at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from millmark.ledger.records import CertificateState, ModelState, Verdict
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import CertificateRow, ChainIdentityRow, CursorRow, ModelRow
from millmark.quality import build_model, model_digest
from millmark.quality.drift import GROUP, build_reference
from millmark.quality.inference import pack_window
from millmark.services.inspections.model_health import Share, monitor
from tests.support.quality_samples import tiny_network
from tests.support.stores import new_store

MODEL = tiny_network()
CONTENT = build_model(MODEL)
NONE = bytes(32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One approved model, nothing certified yet."""
    with new_store(tmp_path) as opened:
        with opened.transaction() as connection:
            rows = Rows(connection)
            rows.insert([ChainIdentityRow(1, 31337, NONE, bytes(20), bytes(20), bytes(32))])
            rows.insert([CursorRow(1, 9, NONE, 1_700_000_000, 5, 5, NONE)])
            rows.insert(
                [
                    ModelRow(
                        number=3,
                        subject=NONE,
                        inspector=1,
                        approver=2,
                        state=ModelState.APPROVED,
                        open=False,
                        registered_at=1,
                        approved_at=2,
                        retired_at=0,
                        withdrawn_at=0,
                        defective_since=0,
                        digest=model_digest(CONTENT),
                        code=None,
                        card_root=NONE,
                        report_root=NONE,
                        reason_root=NONE,
                    )
                ]
            )
        yield opened


def draw(rng: np.random.Generator, count: int, shift: int = 0) -> list[tuple[int, int]]:
    """Inputs of the model, around zero or away from it."""
    words = np.clip(np.rint(rng.normal(shift, 20, (count, 2))), -127, 127).astype(int)
    return [(int(first), int(second)) for first, second in words]


def logit(words: tuple[int, int]) -> int:
    return 2 * words[0] - words[1] + 3


def keep_card(store: Store, inputs: Sequence[tuple[int, int]]) -> None:
    words = np.array(inputs, dtype=np.int8)
    reference = build_reference(words, np.array([logit(one) for one in inputs], dtype=np.int64))
    with store.transaction() as connection:
        Book(connection).put_model(model_digest(CONTENT), CONTENT, json.dumps({"drift": reference.describe()}))


def certify(store: Store, inputs: Sequence[tuple[int, int]], first: int = 1) -> None:
    """Certificates in order, each with its inference in the book."""
    with store.transaction() as connection:
        rows, book = Rows(connection), Book(connection)
        for sequence, words in enumerate(inputs, start=first):
            verdict = Verdict.FAIL if logit(words) >= MODEL.decision.threshold else Verdict.PASS
            rows.insert([_certificate(sequence, verdict)])
            book.put_inference(sequence, NONE, pack_window(words), [logit(words)])


def _certificate(sequence: int, verdict: Verdict) -> CertificateRow:
    return CertificateRow(
        sequence=sequence,
        lot=sequence.to_bytes(32, "big"),
        order=None,
        issuer=1,
        model=3,
        verdict=verdict,
        state=CertificateState.ISSUED,
        issued_at=1,
        expires_at=2_000_000_000,
        opening_deadline=0,
        opened_at=0,
        executed=0,
        revoked_at=0,
        inference_digest=NONE,
        stream=NONE,
        leaf_index=0,
        leaf_hash=NONE,
        anchor_size=1,
        anchor_root=NONE,
        claims_root=NONE,
        reason_root=NONE,
    )


def test_a_model_without_a_card_says_what_is_missing(store: Store) -> None:
    [health] = monitor(store)
    assert health.drift is None
    assert "unknown: model and card are not stored here" in health.describe()[1]
    assert health.to_json()["why_no_drift"] == "model and card are not stored here"


def test_a_card_without_a_reference_is_no_reference(store: Store) -> None:
    with store.transaction() as connection:
        Book(connection).put_model(model_digest(CONTENT), CONTENT, '{"model": {}}')
    [health] = monitor(store)
    assert health.why_not == "the card cannot be used: the card has no drift reference"


def test_steady_inspections_raise_no_alarm_and_shifted_ones_do(store: Store) -> None:
    rng = np.random.default_rng(1)
    keep_card(store, draw(rng, 700))
    certify(store, draw(rng, 2 * GROUP))
    [steady] = monitor(store)
    assert steady.drift is not None
    assert (steady.drift.groups, steady.drift.alarms) == (2, ())
    certify(store, draw(rng, 2 * GROUP, shift=40), first=2 * GROUP + 1)
    [shifted] = monitor(store)
    assert shifted.drift is not None
    assert set(shifted.drift.alarms) == {"column 0", "column 1", "margin"}
    assert "ALARM" in shifted.describe()[1]
    assert "informs only" not in shifted.describe()[1]


def test_an_alarm_beside_a_small_reference_says_that_it_only_informs(store: Store) -> None:
    rng = np.random.default_rng(1)
    keep_card(store, draw(rng, 399))
    certify(store, draw(rng, 2 * GROUP, shift=40))
    [health] = monitor(store)
    assert "informs only: its reference has 399 rows of the 400 on which anything acts" in health.describe()[1]


def test_field_figures_count_what_became_of_parts(store: Store) -> None:
    sick, sound = (20, 0), (0, 0)
    certify(store, [sick] * 4 + [sound] * 6)
    with store.transaction() as connection:
        book = Book(connection)
        for certificate, defect in {1: True, 2: True, 3: False, 5: True, 6: False}.items():
            book.put_finding(certificate, defect, 1)
        book.put_finding(6, False, 2)
    [health] = monitor(store)
    field = health.field
    assert (field.hits, field.false_alarms, field.misses, field.sound, field.unknown) == (2, 1, 1, 1, 5)
    assert field.precision == Share.of(2, 3)
    assert field.recall == Share.of(2, 3)
    assert field.recall is not None
    assert field.recall.low < 2 / 3 < field.recall.high


def test_without_findings_nothing_is_claimed(store: Store) -> None:
    certify(store, [(0, 0)])
    [health] = monitor(store)
    assert (health.field.precision, health.field.recall) == (None, None)
    assert "precision unknown" in health.describe()[2]
