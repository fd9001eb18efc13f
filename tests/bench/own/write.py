"""Records written to a chain through the outbox: stored first, sent, their receipts read, until they are final."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millmark.ledger.chain import HttpTransport, find_profile
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.bench.peers.answer import Act, Prepare
from tests.faults.workload import build_events, found_site


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    folder = tempfile.TemporaryDirectory(prefix="millmark-bench-")  # lives as long as the process
    transport = HttpTransport(arguments["url"])
    site = found_site(Path(folder.name), transport, find_profile("anvil"), arguments["seed"])
    store = open_store(f"sqlite:///{folder.name}/own.sqlite")
    turns = iter(range(10**9))

    def task(count: int, batch: int) -> Prepare:
        def prepare() -> Act:
            chain, outbox = site.connect(transport), Outbox(store)
            submitter = Submitter(chain, outbox, site.signer, batch_size=batch)
            events = build_events(count, f"turn-{next(turns)}")

            def act() -> tuple[int, object]:
                assert folder is not None
                submitter.submit([(event.key, site.record(event)) for event in events])
                submitter.drain()
                return count, outbox.counts().get(OutboxState.FINAL, 0)

            return act

        return prepare

    return {"batches": task(arguments["records"], 50), "alone": task(arguments["alone"], 1)}
