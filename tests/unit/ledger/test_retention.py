"""Old measurements are dropped, what somebody may still ask for is not, and all proofs keep verifying."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from millmark.ledger.canonical import Json
from millmark.ledger.errors import ProofError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.index import Follower, check_book
from millmark.ledger.merkle import Tree, verify_consistency, verify_inclusion
from millmark.ledger.provenance.evidence_proofs import prove_consistency, prove_inclusion
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.provenance.retention import Rule, drop_evidence, find_droppable
from millmark.ledger.records import Gate, Verdict
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import AnchorRow, EvidenceRow
from tests.support.fake_ledger import FakeLedger, digest
from tests.support.stores import new_store

_MAKER, _INSPECTOR, _AUDITOR, _BUYER, _COORDINATOR = 1, 2, 3, 4, 5
_ROW = 4
"""Entries of a row here, instead of 256."""
_AGO_BLOCKS = 1_000
_NEEDED = {8, 20, 44, 48, 52, 56}
"""First entries of the rows that stay: what a window was cut from, the window, what a demanded certificate names, a
register reading, what a later window was cut from, and the entry with which work was finished."""
_OF_EXPIRED = {40}
_OLD, _YOUNG, _ALL = 60, 80, 90
"""Entries that were anchored long ago, that were anchored by now, and that are in the log."""


@dataclass
class Site:
    store: Store
    fake: FakeLedger = field(default_factory=FakeLedger)
    stream: bytes = b""
    before_s: int = 0

    def leaves(self) -> list[bytes]:
        with self.store.reading() as connection:
            return Book(connection).leaves(self.stream, _ALL)

    def rows(self) -> dict[int, EvidenceRow]:
        """With their content, wherever it is."""
        with self.store.reading() as connection:
            rows = Rows(connection).find(EvidenceRow, stream=self.stream)
            return {row.index: Book(connection).with_content(row) for row in rows}

    def dropped(self) -> set[int]:
        return {index for index, row in self.rows().items() if row.is_dropped}

    def anchors(self) -> list[AnchorRow]:
        with self.store.reading() as connection:
            return sorted(Rows(connection).find(AnchorRow, stream=self.stream), key=lambda row: row.size)


@pytest.fixture(params=["rows", "files"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    with new_store(tmp_path, evidence=tmp_path / "evidence" if request.param == "files" else None) as made:
        yield made


@pytest.fixture
def site(store: Store, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("millmark.ledger.store.book._RUN", _ROW)
    made = Site(store)
    fake = made.fake
    for number in (_MAKER, _INSPECTOR, _AUDITOR, _BUYER, _COORDINATOR):
        fake.admit(number)
        fake.accept_key(number)
    machine, model = fake.register_machine(_MAKER, "mill"), fake.register_model(_INSPECTOR, "cracks")
    fake.approve_model(_AUDITOR, model)
    order = fake.place("order", _BUYER, _COORDINATOR, Gate(_INSPECTOR, model))
    fake.accept_order(order)
    fake.begin(order, 0, machine)
    made.stream = fake.gauges[machine]
    fake.anchor(made.stream, _MAKER, 20)
    _append(made, LeafKind.WINDOW, {"commitment": "0x" + "11" * 32, "first": 8, "last": 9, "lot": "0x" + "22" * 32})
    fake.anchor(made.stream, _MAKER, 48)
    _append(made, LeafKind.EVENT, {"register": {"wh": 1}})
    fake.anchor(made.stream, _MAKER, 57)
    fake.finish(order, 0)  # with entry 57
    fake.anchor(made.stream, _MAKER, _OLD)
    _certify(made, model)
    made.before_s = fake.chain.now + 10
    fake.chain.mine(_AGO_BLOCKS)
    _append(made, LeafKind.EVENT, {"reading": "after the old ones"})
    # Cut from old entries, and anchored and certified when those are old.
    _append(made, LeafKind.WINDOW, {"commitment": "0x" + "33" * 32, "first": 52, "last": 53, "lot": "0x" + "44" * 32})
    fake.anchor(made.stream, _MAKER, _YOUNG)
    late = fake.receive("late", _MAKER, 1)
    fake.certify(late, _INSPECTOR, model, Verdict.PASS, made.stream, 10**8, _OLD + 1)
    fake.chain.mine()
    for _ in range(_YOUNG, _ALL):
        _append(made, LeafKind.EVENT, {"reading": "not anchored"})
    Follower(fake.chain, store).follow()
    with store.transaction() as connection:
        Book(connection).add_evidence(made.stream, fake.logs[made.stream].entries)
    return made


def _append(site: Site, kind: LeafKind, entry: Json) -> None:
    log = site.fake.logs[site.stream]
    log.append(entry, digest("salt", len(log.entries)), kind)


def _certify(site: Site, model: int) -> None:
    """Certificates on entry 20, 30 (revoked), 40 (expired) and 44 (expired, and its opening is demanded)."""
    fake, far = site.fake, 10**8
    lots = [fake.receive(f"lot {place}", _MAKER, 1) for place in range(4)]
    for lot, place, lasts_s in zip(lots, (20, 30, 40, 44), (far, far, 1, 1), strict=True):
        fake.certify(lot, _INSPECTOR, model, Verdict.PASS, site.stream, lasts_s, place)
    fake.revoke(lots[1])
    fake.demand(lots[3], _AUDITOR)


@pytest.mark.parametrize("expired", [False, True])
def test_what_is_old_and_not_needed_is_dropped(site: Site, expired: bool) -> None:
    before, rule = site.rows(), Rule(site.before_s, expired=expired)
    old = set(range(0, _OLD, _ROW))
    going = old - _NEEDED - (set() if expired else _OF_EXPIRED)
    [planned] = find_droppable(site.store, rule)
    assert (planned.now, site.dropped()) == (_ROW * len(going), set()), "looking drops nothing"
    assert drop_evidence(site.store, rule) == [planned]
    assert site.dropped() == going
    assert planned.bytes == sum(len(before[one].salts) + len(before[one].entries) for one in going)
    for index, row in site.rows().items():
        assert (row.leaf_hashes, row.kinds) == (before[index].leaf_hashes, before[index].kinds)
        assert (row.entries, row.salts) == (
            ("", b"") if index in going else (before[index].entries, before[index].salts)
        )
    [again] = drop_evidence(site.store, rule)
    assert (again.now, again.dropped) == (0, planned.now)


def test_proofs_of_dropped_and_other_entries_verify(site: Site) -> None:
    leaves = site.leaves()
    drop_evidence(site.store, Rule(site.before_s))
    assert site.leaves() == leaves
    first, *_, latest = site.anchors()
    for index in range(latest.size):
        found = prove_inclusion(site.store, site.stream, index, latest.sequence, None)
        verify_inclusion(found.leaf_hash, index, latest.size, list(found.inclusion), latest.root)
        assert (found.shown is None) == (index // _ROW * _ROW in site.dropped())
    grown = prove_consistency(site.store, site.stream, first.sequence, latest.sequence, None)
    verify_consistency(first.size, latest.size, list(grown.consistency), first.root, latest.root)


def test_the_book_is_sound_after_it_and_what_was_taken_otherwise_is_found(site: Site) -> None:
    drop_evidence(site.store, Rule(site.before_s))
    assert check_book(site.store) == []
    dropped = min(site.dropped())
    with site.store.transaction() as connection:
        row = Rows(connection).get(EvidenceRow, site.stream, dropped)
        assert row is not None
        row.leaf_hashes = row.leaf_hashes[:-1] + b"\0"
        Rows(connection).update([row])
    assert any("is not that of the anchor" in one for one in check_book(site.store))
    with pytest.raises(ProofError):
        prove_inclusion(site.store, site.stream, 70, site.anchors()[-1].sequence, None)


def test_an_entry_that_was_dropped_reads_as_not_there(site: Site) -> None:
    drop_evidence(site.store, Rule(site.before_s))
    with site.store.reading() as connection:
        book = Book(connection)
        assert book.evidence_entry(site.stream, 4) is None
        assert book.leaf(site.stream, 4) == site.fake.leaf(site.stream, 4)
        assert book.evidence_texts(site.stream, [0, 4, 20]).keys() == {20}
        assert book.evidence_size(site.stream) == _ALL
        assert book.latest_evidence(site.stream) == {"reading": "not anchored"}
        assert book.find_event(site.stream, "x") is None
        assert len(list(book.entries_with(site.stream, "reading"))) > 30
        assert Tree(book.leaves(site.stream, _OLD)).root() == site.fake.logs[site.stream].tree.root(_OLD)


@pytest.mark.parametrize("store", ["files"], indirect=True)
def test_an_old_file_that_is_missing_stops_nothing_and_is_counted(site: Site) -> None:
    """As after a restored database that names files which were dropped since."""
    assert site.store.evidence is not None
    with site.store.reading() as connection:
        [row] = Book(connection).runs_from(site.stream, [0])
    site.store.evidence.remove(site.stream, [row.file])
    for find in (find_droppable, drop_evidence):
        [found] = find(site.store, Rule(site.before_s))
        assert (found.unreadable, found.now > 0) == (_ROW, True)
    with site.store.reading() as connection:
        rows = {one.index: one for one in Rows(connection).find(EvidenceRow, stream=site.stream)}
    assert rows[0].file
    assert rows[4].is_dropped


def test_streams_that_are_left_out_and_those_without_an_old_anchor_stay(site: Site) -> None:
    drop_evidence(site.store, Rule(site.before_s, frozenset({site.stream})))
    drop_evidence(site.store, Rule(0))
    assert site.dropped() == set()


def test_what_a_certificate_names_since_it_was_looked_at_stays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the lock."""
    look = "millmark.ledger.provenance.retention._look"
    planned = [(one, [0, 4, 20]) for one in find_droppable(site.store, Rule(site.before_s))]
    monkeypatch.setattr(look, lambda *_: iter(planned))
    [found] = drop_evidence(site.store, Rule(site.before_s))
    assert (found.now, site.dropped()) == (2 * _ROW, {0, 4})


def test_no_piece_of_what_was_dropped_is_in_the_database_file(site: Site, tmp_path: Path) -> None:
    if not site.store.url.startswith("sqlite"):
        pytest.skip("PostgreSQL's own files keep it until they are vacuumed, as OPERATIONS.md says")
    salt = site.rows()[4].salts[:32]
    drop_evidence(site.store, Rule(site.before_s))
    site.store.scrub()
    assert not any(salt in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_reader_hashes_each_leaf_of_a_stream_once(site: Site) -> None:
    leaves = site.leaves()
    with open_reader(site.store) as reader:
        tree = reader.tree(site.stream, _OLD)
        assert (tree.size, tree.root()) == (_OLD, Tree(leaves[:_OLD]).root())
        assert reader.tree(site.stream, _ALL) is tree
        assert reader.tree(site.stream, _YOUNG) is tree
        assert (tree.size, tree.root()) == (_ALL, Tree(leaves).root()), "with the leaves that were lacking, once"
        proof = tree.inclusion_proof(3, _OLD)
        verify_inclusion(leaves[3], 3, _OLD, proof, Tree(leaves[:_OLD]).root())
        assert reader.tree(site.stream, _ALL + 1).size == _ALL, "the book has no more"
