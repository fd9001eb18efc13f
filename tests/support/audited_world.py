"""A company on a ledger with an audit log and a stream for its heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.chain import Chain
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, OpenStream, RegisterMachine, Role
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.audit import AnchoredHeads, open_heads
from millmark.services.audit.entries import hash_entry, list_files, parse_line
from tests.support.ledger_world import NOTHING, LedgerWorld

__all__ = ["STREAM_NAME", "open_audit_stream", "read_anchored", "rewrite"]

STREAM_NAME = sha256(b"the audit log's stream")
Change = Callable[[list[dict[str, Json]]], object]


def open_audit_stream(world: LedgerWorld, store: Store) -> tuple[LocalSigner, int, bytes]:
    """Admits a company and opens its stream; returns its key, its number and the stream's subject."""
    signer = world.admit(Outbox(store), Role.MANUFACTURER)
    number = cast(int, world.chain.read(Contract.REGISTRY, "actorOf", signer.address)[0])
    submitter = world.submitter(Outbox(store), signer)
    [made] = submitter.submit([(f"machine-{number}", RegisterMachine(sha256(b"gateway"), NOTHING))])
    submitter.drain()
    machine = cast(int, Outbox(store).record(made).sequence)
    submitter.submit([(f"stream-{number}", OpenStream(STREAM_NAME, machine, NOTHING))])
    submitter.drain()
    return signer, number, subject(SubjectKind.STREAM, number, STREAM_NAME)


def read_anchored(chain: Chain, store: Store, stream: bytes) -> AnchoredHeads:
    """Reads the anchored heads the way `millmark audit verify` does."""
    found = chain.read_struct(Contract.LEDGER, "streamOf", stream)
    with store.reading() as connection:
        log = Book(connection).evidence(stream)
    return AnchoredHeads(open_heads(log, cast(int, found["size"]), cast(bytes, found["root"])))


def rewrite(folder: Path, change: Change) -> None:
    """Rewrites the log like an attacker with access to the folder: changes entries and recomputes the whole chain of
    hashes."""
    paths = list_files(folder)
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    entries = [entry for line in lines if (entry := parse_line(line)) is not None]
    change(entries)
    previous, written = str(entries[0]["previous"]) if entries else "", []
    for number, entry in enumerate(entries, int(str(entries[0]["number"])) if entries else 1):
        entry |= {"number": number, "previous": previous}
        previous = entry["hash"] = hash_entry(entry).hex()
        written.append(canonical_json(entry) + b"\n")
    for path in paths[1:]:
        path.unlink()
    paths[0].write_bytes(b"".join(written))
