"""Events taken into a node's log, book and outbox: durable, in a tree, and under one signature for each batch.

An event is acknowledged once it is on disk in the log. The recorder then keeps it in the book and queues an anchor over
the batch, and the key signs the anchor's transaction; both count. With signatures, each event comes as a forward
request whose signature is checked before it is taken.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from millmark.ledger.chain import Transaction, sign_transaction
from millmark.ledger.forward_requests import ForwardRequest, parse_request, sign_request
from millmark.ledger.keys import LocalSigner
from millmark.services.node.agent import tune_interpreter
from millmark.services.node.config import AnchorRule
from millmark.services.node.events import MAX_DEPTH, DeadLetters, parse_events
from millmark.services.node.evidence_recorder import StreamRecorder
from millmark.services.node.http_capture import MAX_BATCH_BYTES
from millmark.services.node.intake import Intake, Metrics, StreamIntake
from millmark.services.node.streamlog import Committer, DedupIndex, StreamLog
from millmark.services.node.windows import Drafts
from millmark.services.store import open_store
from tests.bench.capture import build_body, build_event
from tests.bench.peers.answer import Act, Prepare

_STREAM = bytes(32)
_GAS, _FEE_WEI = 100_000, 10**9


class _Node:
    """What of a node takes events in."""

    def __init__(self, folder: Path, batch: int) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        log = StreamLog(folder / "log", _STREAM)
        committer = Committer(log, DedupIndex(folder / "known", log))
        self._intake = Intake({"press": StreamIntake(committer, None)}, DeadLetters(folder / "dead"), Metrics())
        self._store = open_store(f"sqlite:///{folder / 'node.sqlite'}")
        self._signer = LocalSigner.generate()
        rule = AnchorRule(count=batch, seconds=86_400)
        drafts = Drafts(folder / "drafts", self._store)
        self._recorder = StreamRecorder(
            "press", _STREAM, log, self._store, self._signer.address, rule, drafts, structlog.get_logger(),
            resume_path=folder / "resume",
        )  # fmt: skip
        self.anchors = 0

    def take(self, body: bytes) -> None:
        """One batch, up to its signed anchor."""
        events = [
            self._intake.check(one)[1] for one in parse_events(body, max_bytes=MAX_BATCH_BYTES, max_depth=MAX_DEPTH + 1)
        ]
        self._intake.submit("press", events).result()
        self._recorder.step()
        sent = Transaction(1, self.anchors, _FEE_WEI, _FEE_WEI, _GAS, bytes(20), b"\xff" * 100)
        sign_transaction(sent, self._signer)
        self.anchors += 1

    @property
    def queued(self) -> int:
        return self._recorder.queued


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    tune_interpreter()
    batch, batches, checked = arguments["batch"], arguments["batches"], arguments["checked"]
    folder = tempfile.TemporaryDirectory(prefix="millmark-bench-")  # lives as long as the process
    node = _Node(Path(folder.name), batch)
    turns = iter(range(10**9))

    def ingest() -> Act:
        turn = next(turns)
        bodies = [build_body(turn, start, batch) for start in range(0, batch * batches, batch)]

        def act() -> tuple[int, object]:
            assert folder is not None
            before = node.queued
            for body in bodies:
                node.take(body)
            return batch * batches, node.queued - before

        return act

    def check() -> Act:
        turn, signer = next(turns), LocalSigner.generate()
        signed = [_sign(signer, build_event(turn, number)) for number in range(checked)]

        def act() -> tuple[int, object]:
            before = node.queued
            for start in range(0, checked, batch):
                node.take(b"[" + b",".join(_open(signed[start : start + batch], signer.address)) + b"]")
            return checked, node.queued - before

        return act

    return {"ingest": ingest, "check": check}


def _sign(signer: LocalSigner, event: bytes) -> bytes:
    request = ForwardRequest(1, b"\x22" * 20, signer.address, b"\x22" * 20, _GAS, 0, 2_000_000_000, event)
    return sign_request(request, signer).to_bytes()


def _open(requests: Sequence[bytes], signer: bytes) -> list[bytes]:
    """The events in requests, whose signatures it checks."""
    events = []
    for raw in requests:
        signed = parse_request(raw)
        signed.verify()
        assert signed.request.signer == signer
        events.append(signed.request.data)
    return events
