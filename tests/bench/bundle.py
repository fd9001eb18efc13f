"""Size of the bundle of a part made from many lots, and the time to build and verify it.

The part results from a tree of merges, and every lot of it is passed back and forth between two factories. The records
are real ones on the embedded chain, and everything is disclosed. For comparison, the time of only decoding the file's
JSON is measured, which every reader spends before checking anything.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger import records as kinds
from millmark.ledger.bundle import parse_bundle
from millmark.ledger.chain import EmbeddedChain, Node, Transport, fetch_checkpoint, fetch_headers, fetch_trust
from millmark.ledger.errors import InputError
from millmark.ledger.headers import encode_header
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.seals import SealedHeader, collect_seals, verify_seals
from millmark.ledger.store import Store
from millmark.ledger.trust import BelievedBlock
from millmark.ledger.verify import verify_bundle
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium, hash_of
from millmark.services.store import open_store

_KILOGRAM = b"KGM"
_BATCH = 100
_REPEATS = 25


@dataclass(frozen=True, slots=True)
class BundleFigures:
    """Size of a bundle, and times in milliseconds."""

    ancestors: int
    records: int
    bytes: int
    nodes: int
    """Number of trie nodes in the file."""
    build_ms: float
    verify_ms: float
    """Median wall time of verification."""
    verify_cpu_ms: float
    """Median CPU time of verification. Other load raises it: processes that share a core, its caches and its clock."""
    verify_least_cpu_ms: float
    """Least CPU time of verification: the nearest to what it takes on an idle machine."""
    salts_cpu_ms: float
    """The part of the median CPU time that names and the proofs of their salts take."""
    decode_ms: float
    """Median wall time of `json.loads` on the same file."""
    decode_least_cpu_ms: float
    """Least CPU time of that, by which two machines can be compared."""

    def to_json(self) -> dict[str, object]:
        return {
            "ancestors": self.ancestors,
            "records": self.records,
            "bytes": self.bytes,
            "nodes": self.nodes,
            "build_ms": self.build_ms,
            "verify_median_ms": self.verify_ms,
            "verify_median_cpu_ms": self.verify_cpu_ms,
            "verify_least_cpu_ms": self.verify_least_cpu_ms,
            "salts_median_cpu_ms": self.salts_cpu_ms,
            "json_decode_median_ms": self.decode_ms,
            "json_decode_least_cpu_ms": self.decode_least_cpu_ms,
            "times_json_decode": round(self.verify_ms / self.decode_ms, 1),
        }


def measure_bundle(leaves: int, rounds: int, transport: Transport | None = None) -> BundleFigures:
    """Measures the bundle of a part made from `leaves` received lots, each lot passed back and forth `rounds` times,
    on an embedded chain unless another one is given.

    Raises InputError for numbers out of range.
    """
    if not 2 <= leaves <= 500 or not 0 <= rounds <= 100:
        raise InputError("leaves or rounds out of range", hint="give 2 to 500 leaves and 0 to 100 rounds")
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{Path(folder) / 'bench.db'}") as store:
        consortium = found_consortium(store, transport)
        part = grow_part(consortium, leaves, rounds)
        return _measure(consortium, store, part)


def measure_seals(validators: int) -> float:
    """Median CPU time, in milliseconds, of verifying the seals of one block by a quorum of so many validators, which a
    bundle of a chain that has them adds to its verification."""
    node = Node(EmbeddedChain(validators=[LocalSigner.generate() for _ in range(validators)]))
    node.wait(1)
    [header] = fetch_headers(node, 1, 1)
    _, fields = node.header_fields(1)
    sealed = SealedHeader(header, collect_seals(encode_header(fields)))
    return _timed(lambda: verify_seals(sealed))[1]


def _measure(consortium: Consortium, store: Store, part: bytes) -> BundleFigures:
    chain = consortium.chain
    Follower(chain, store).follow()
    disclosing = Disclosing(names=True, fields=((),), entries=True, inferences=True)
    started = time.perf_counter()
    data = build_bundle(store, chain, [part], disclosing)
    built = time.perf_counter() - started
    point = fetch_checkpoint(chain)
    trust = fetch_trust(chain, {}, BelievedBlock(point.block_number, point.block_hash))
    now_s = int(time.time())
    verify_bundle(data, trust, now_s=now_s)
    bundle = parse_bundle(data)
    verifying, processor, least = _timed(lambda: verify_bundle(data, trust, now_s=now_s))
    bare = build_bundle(store, chain, [part], replace(disclosing, names=False))
    _, without_names, _ = _timed(lambda: verify_bundle(bare, trust, now_s=now_s))
    decoding, _, least_decoding = _timed(lambda: json.loads(data))
    return BundleFigures(
        ancestors=len(bundle.histories) - 1,  # of the part, and there are no orders
        records=len(bundle.records),
        bytes=len(data),
        nodes=len(bundle.nodes),
        build_ms=round(1000 * built, 1),
        verify_ms=verifying,
        verify_cpu_ms=processor,
        verify_least_cpu_ms=least,
        salts_cpu_ms=round(processor - without_names, 3),
        decode_ms=decoding,
        decode_least_cpu_ms=least_decoding,
    )


def _timed(work: Callable[[], object]) -> tuple[float, float, float]:
    """Median of wall time, and median and least of CPU time, in milliseconds, to the microsecond: a small file is
    decoded in less than a tenth of a millisecond, by which the others are divided."""
    clock, processor = [], []
    gc.collect()
    gc.freeze()  # the bench's own chain and store, which a verifier does not have: they would be gone through each time
    for _ in range(_REPEATS):
        gc.collect()  # outside the timed part, so that earlier garbage does not count
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        clock.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - start_cpu))
    gc.unfreeze()
    return round(statistics.median(clock), 3), round(statistics.median(processor), 3), round(min(processor), 3)


def grow_part(consortium: Consortium, leaves: int, rounds: int) -> bytes:
    """Receives lots, then merges them in pairs until one is left; returns its subject."""
    maker, other = consortium.makers[:2]
    identities = [consortium.name(SubjectKind.LOT, maker, f"urn:example:leaf-{number}") for number in range(leaves)]
    claims = consortium.document(maker, {"supplier": "outside the ledger", "certificate": "EN 10204 2.2"})
    _record(consortium, maker, [kinds.ReceiveLot(hash_of(one), 1, _KILOGRAM, claims) for one in identities])
    level = [(one.subject, 1) for one in identities]
    made = 0
    while True:
        _travel(consortium, maker, other, [lot for lot, _ in level], rounds)
        if len(level) == 1:
            return level[0][0]
        merged, changes = [], []
        for one, two in zip(level[::2], level[1::2], strict=False):
            made += 1
            lot, change = _merge(consortium, maker, made, one, two)
            merged.append((lot, one[1] + two[1]))
            changes.append(kinds.TransformLots(change))
        _record(consortium, maker, changes)
        level = merged + level[len(level) & ~1 :]  # an odd lot goes to the next level as it is


def _merge(
    consortium: Consortium, maker: Company, number: int, *lots: tuple[bytes, int]
) -> tuple[bytes, kinds.Transformation]:
    identity = consortium.name(SubjectKind.LOT, maker, f"urn:example:merged-{number}")
    total = sum(quantity for _, quantity in lots)
    change = kinds.Transformation(
        kind=kinds.TransformationKind.MERGE,
        order=NOTHING,
        operation=0,
        unit=_KILOGRAM,
        output_unit=_KILOGRAM,
        loss=0,
        yield_in=1,
        yield_out=1,
        claims_root=consortium.document(maker, {"step": "melting", "charge": number}),
        inputs=tuple(kinds.Input(lot, NOTHING, quantity) for lot, quantity in sorted(lots)),
        outputs=(kinds.Output(hash_of(identity), total, _KILOGRAM, NOTHING),),
    )
    return identity.subject, change


def _travel(consortium: Consortium, maker: Company, other: Company, lots: Sequence[bytes], rounds: int) -> None:
    for number in range(2 * rounds):
        giver, taker = (maker, other) if number % 2 == 0 else (other, maker)
        items = [(kinds.Item(lot, NOTHING),) for lot in lots]
        offers = _record(consortium, giver, [kinds.OfferCustody(item, taker.number, NOTHING) for item in items])
        pairs = zip(items, offers, strict=True)
        _record(consortium, taker, [kinds.AcceptCustody(item, offer, NOTHING) for item, offer in pairs])


def _record(consortium: Consortium, company: Company, records: Sequence[kinds.Record]) -> list[int]:
    parts = [records[start : start + _BATCH] for start in range(0, len(records), _BATCH)]
    return [sequence for part in parts for sequence in consortium.record(company, part)]
