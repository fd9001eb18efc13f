"""Check of a factory: compares what its node acknowledged with the node's log and with the ledger."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import cast

from millmark.ledger.chain import Chain
from millmark.ledger.evidence import WINDOW_ID
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import CertificateRow
from millmark.services.node.evidence_recorder import leaf_of
from millmark.services.node.merkle_frontier import MerkleFrontier
from millmark.services.node.streamlog import StreamLog
from millmark.services.store import open_store
from tests.faults.factory import Factory, Machine
from tests.faults.ledger_check import LedgerCheck

__all__ = ["check_factory"]


def check_factory(factory: Factory, chain: Chain, index: Store, folder: Path, machine: Machine) -> LedgerCheck:
    """Compares events, log and ledger after the node has ended.

    An event counts as on the ledger if the anchored root of its stream covers it. A window without a certificate counts
    as lost, one with two as duplicated; a certificate for an entry that does not exist counts as phantom.
    """
    sent = [str(event["id"]) for event in machine.events]
    acknowledged = sent[: machine.acknowledged]
    with closing(StreamLog(factory.log, factory.stream)) as log:
        entries = [entry for frame in log.frames(log.start) for entry in frame.entries]
    read = [str(json.loads(entry.content)["id"]) for entry in entries]
    leaves = [leaf_of(entry) for entry in entries]
    stream = chain.read_struct(Contract.LEDGER, "streamOf", factory.stream)
    size = cast(int, stream["size"])
    # A log with fewer entries than the anchor lost some that were on the ledger.
    rooted = size <= len(leaves) and _root(leaves[:size]) == stream["root"]
    with open_store(f"sqlite:///{folder / 'fresh.sqlite'}") as fresh:
        Follower(chain, fresh).follow()
        Follower(chain, index).follow()
        ours, theirs = fetch_status(index), fetch_status(fresh)
        with fresh.reading() as connection:
            certificates = Rows(connection).find(CertificateRow, stream=factory.stream)
    counts, anchored = Counter(read), set(read[:size])
    certified = Counter(row.lot for row in certificates)
    inspected = sum(name.startswith("window-") for name in acknowledged)
    places = {name: place for place, name in enumerate(sent)}
    order = [places[name] for name in read if name in places]
    return LedgerCheck(
        events=len(sent),
        acknowledged=len(acknowledged),
        failed=0,
        unknown=len(sent) - len(acknowledged),
        lost=sum(name not in anchored for name in acknowledged)
        + sum(certified[lot] == 0 for lot in factory.lots[:inspected]),
        duplicate=sum(count - 1 for count in counts.values()) + sum(count - 1 for count in certified.values()),
        phantom=sum(name not in places and not name.startswith(WINDOW_ID) for name in counts)
        + sum(row.leaf_index >= len(leaves) or row.leaf_hash != leaves[row.leaf_index] for row in certificates),
        misordered=sum(one > other for one, other in itertools.pairwise(order)),
        replay_equal=ours is not None and theirs is not None and ours.digest == theirs.digest,
        heads_equal=rooted and theirs is not None and theirs.ledger_sequence == chain.sequence(Contract.LEDGER),
    )


def _root(leaves: list[bytes]) -> bytes:
    peaks = MerkleFrontier()
    peaks.extend(leaves)
    return peaks.root()
