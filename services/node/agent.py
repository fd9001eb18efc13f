"""Assembles a node: opens its parts in order, starts their threads, and closes them in reverse order."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from millmark.ledger.chain import Chain, Deployment, find_profile, read_deployment
from millmark.ledger.errors import ChainUnreachableError, MillmarkError, SettingsError
from millmark.ledger.keys import open_signer
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.node.config import (
    ModelSource,
    MqttSource,
    NodeConfig,
    OpcuaSource,
    RelayConfig,
    StreamConfig,
    read_secret,
)
from millmark.services.node.dead_letters import DeadLetters
from millmark.services.node.dedup_index import DedupIndex
from millmark.services.node.drafts import Drafts
from millmark.services.node.evidence_recorder import StreamRecorder
from millmark.services.node.folder_capture import FolderCapture
from millmark.services.node.group_commit import Committer
from millmark.services.node.health import Health, StreamHealth, describe_outbox
from millmark.services.node.http_capture import create_capture
from millmark.services.node.intake import Intake, StreamIntake
from millmark.services.node.lots import Lots
from millmark.services.node.metrics import Metrics
from millmark.services.node.preflight import connect_chain, connect_relay, open_relay, verify_logs
from millmark.services.node.resume import read_resume_point
from millmark.services.node.streamlog import StreamLog
from millmark.services.node.submission import KeySubmitter, SubmissionLoop, VerifyLogs, build_report
from millmark.services.serving.failures import public_cause
from millmark.services.serving.funds_watch import FundsWatch
from millmark.services.serving.logs import STANDARD_ERROR, build_logger
from millmark.services.serving.troubles import Trouble, describe_damage
from millmark.services.store import open_store

if TYPE_CHECKING:
    from millmark.quality import Inspector
    from millmark.services.node.inspection import Certifier
    from millmark.services.node.mqtt_capture import MqttCapture
    from millmark.services.node.opcua_capture import OpcuaCapture

DEAD_LETTERS = "dead-letters.jsonl"


@dataclass(frozen=True, slots=True)
class _Stream:
    """The log of one stream, and the parts that write and read it."""

    name: str
    log: StreamLog
    committer: Committer
    recorder: StreamRecorder


class Agent:
    """A node whose parts are open and whose threads are running."""

    def __init__(
        self,
        config: NodeConfig,
        intake: Intake,
        streams: Sequence[_Stream],
        submission: SubmissionLoop,
        store: Store,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        funds: FundsWatch | None = None,
    ) -> None:
        self.config = config
        self.intake = intake
        self.logger = logger
        self._streams = streams
        self._submission = submission
        self._funds = funds
        self._store, self._outbox = store, Outbox(store)
        self.metrics = metrics
        self._profile = find_profile(config.chain.engine)
        self._sources: list[FolderCapture | MqttCapture | OpcuaCapture] = []

    def health(self) -> Health:
        """The node's current health. Also updates the gauges. Does not raise if the database fails: it says so."""
        submission, found = self._submission, [*self._submission.troubles(), *self._idle()]
        outbox: dict[str, object] = {}
        streams = []
        try:
            outbox = describe_outbox(self._outbox)
            streams = [_describe(stream, stream.recorder.count_anchored()) for stream in self._streams]
            found += describe_damage(self._store)
        except MillmarkError as error:
            found.append(Trouble("database", error.code, public_cause(error), time.time(), error.hint))
            streams = [_describe(stream, 0) for stream in self._streams]
        timed = bool(getattr(self._profile, "timed_blocks", False))
        health = Health(streams, submission.connected, submission.head, found, outbox, timed)
        self._measure(health)
        return health

    def _idle(self) -> Iterator[Trouble]:
        """The threads that do not do their work, the sources that are not connected, and a key that runs low."""
        found = self._submission.loop.trouble()
        if found is not None:
            yield found
        if self._funds is not None:
            yield from (one for one in (self._funds.loop.trouble(), self._funds.trouble()) if one is not None)
        for stream in self._streams:
            if not stream.committer.is_alive:
                cause = f"the thread that writes the log of {stream.name} has ended"
                yield Trouble("millmark-log", "thread-ended", cause, time.time(), "restart the node")
        for source in self._sources:
            found = source.loop.trouble()
            if source.is_connected or (found is not None and found.code.startswith("thread-")):
                yield from () if found is None else (found,)
            else:
                # It may answer, and refuse the credential or a node: so the reason is its own.
                why, since_s = (f" ({found.cause})", found.since_s) if found is not None else ("", time.time())
                cause = f"the broker or server reports nothing{why}"
                hint = "see the node's log, and the broker or server"
                yield Trouble(source.loop.name, "source-disconnected", cause, since_s, hint)

    def create_capture(self) -> Starlette:
        """Builds the HTTP application. Raises SettingsError for an unusable token file."""
        token_file = self.config.http.token_file
        token = None if token_file is None else read_secret(token_file)
        return create_capture(self.intake, self.metrics, self.health, token, self.logger)

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Captures from folders, brokers and OPC UA servers until exit.

        Raises SettingsError if a source cannot be used, NotInstalledError if it needs an extra.
        """
        with ExitStack() as stack:
            for folder in self.config.folders:
                # Named after the folder's path, so progress survives a reordering of the configuration.
                name = hashlib.sha256(str(folder.path).encode()).hexdigest()[:16]
                state = self.config.data_folder / f"folder-{name}.json"
                self._start(stack, FolderCapture(folder, self.intake, state, self.logger))
            for broker in self.config.mqtt:
                self._start(stack, _open_broker(broker, self.intake, self.logger))
            for server in self.config.opcua:
                self._start(stack, _open_server(server, self.intake, self.logger))
            yield

    def _start(self, stack: ExitStack, source: FolderCapture | MqttCapture | OpcuaCapture) -> None:
        source.start()
        self._sources.append(source)
        stack.callback(source.stop)

    def _measure(self, health: Health) -> None:
        metrics = self.metrics
        for stream in health.streams:
            metrics.entries.labels(stream.name).set(stream.entries)
            metrics.anchored.labels(stream.name).set(stream.anchored)
        for each in self._streams:
            metrics.waiting.labels(each.name).set(each.recorder.waiting)
        metrics.chain_up.set(health.chain_connected)
        metrics.head.set(health.head.number or 0)
        metrics.stalled.set(health.head.stalled_s(time.monotonic()))
        metrics.ready.set(health.ready)
        metrics.log_lost.set(STANDARD_ERROR.lost)
        metrics.troubles.clear()
        for one in (*health.troubles, *health.alarms):
            metrics.troubles.labels(one.where, one.code).set(1)
        metrics.outbox.clear()  # otherwise a state without records would keep its last count
        records, oldest = health.outbox.get("records"), health.outbox.get("oldest_waiting")
        for state, count in records.items() if isinstance(records, dict) else ():
            metrics.outbox.labels(state).set(count)
        metrics.oldest.set(oldest["age_s"] if isinstance(oldest, dict) else 0)


@contextmanager
def open_agent(config: NodeConfig, logger: FilteringBoundLogger | None = None) -> Iterator[Agent]:
    """Opens the node and starts its threads. On exit every acknowledged event is durable; unsent records stay queued.

    Raises SettingsError, SigningError, StoreDamagedError, WrongChainError or WrongContractError, before any event is
    accepted, if the configuration is unsafe or does not match the ledger, and StoreError if the database or the folder
    of evidence cannot be used yet. An unreachable chain does not prevent the
    start: events are accepted and records are queued until it answers.
    """
    logger = logger or build_logger()
    with ExitStack() as stack:
        # First of all: a second node must not even open the logs, since opening one cuts off a torn tail.
        stack.enter_context(lock_folder(config.data_folder))
        signer = open_signer(config.signer.uri, passphrase_file=config.signer.passphrase_file)
        inspector = None if config.model is None else _open_model(config.model)
        deployment = read_deployment(config.chain.deployment)
        store = stack.enter_context(open_store(config.database_url, config.evidence_folder))

        parts = _Parts(config, store, signer, inspector, (deployment.chain_id, deployment.ledger), logger)
        streams = [parts.open_stream(stack, stream) for stream in config.streams]
        # Before the submission loop starts: a draft whose records are not in the outbox is then certainly an orphan.
        parts.drafts.drop_orphans()
        recorders = [stream.recorder for stream in streams]

        relay = config.relay
        connect = parts.direct(recorders) if relay is None else parts.relayed(stack, relay, deployment)
        try:
            connect()  # only to check the configuration: the loop connects for itself
        except ChainUnreachableError:
            logger.warning("the chain does not answer; events are accepted and records queued until it does")
        failed = parts.metrics.failed
        submission = SubmissionLoop(
            recorders, connect, Outbox(store), parts.drafts, logger, lambda kind: failed.labels(kind).inc()
        )
        submission.start()
        # Registered last, so it stops first: the loop uses the logs, the store and the relay.
        stack.callback(submission.stop)
        funds = parts.funds() if relay is None and not find_profile(config.chain.engine).faucet else None
        if funds is not None:
            funds.start()
            stack.callback(funds.stop)
        intake = Intake(parts.intakes(streams), parts.dead_letters, parts.metrics)
        yield Agent(config, intake, streams, submission, store, parts.metrics, logger, funds)


class _Parts:
    """Builds the parts of each stream from what all streams share."""

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        signer: Signer,
        inspector: Inspector | None,
        ledger: tuple[int, bytes],
        logger: FilteringBoundLogger,
    ) -> None:
        self._config = config
        self._store = store
        self._signer = signer
        self._inspector = inspector
        self._ledger = ledger
        self._logger = logger
        self.metrics = Metrics()
        self.dead_letters = DeadLetters(config.data_folder / DEAD_LETTERS, self.metrics.refused)
        self.lots = Lots(store, asks=config.relay is None)
        self.drafts = Drafts(_folder(config.data_folder / "drafts"), store)

    def open_stream(self, stack: ExitStack, stream: StreamConfig) -> _Stream:
        folder = _folder(self._config.data_folder / "streams" / stream.name)
        subject = bytes.fromhex(stream.subject[2:])
        resume_point = read_resume_point(folder / "resume")
        # Frames before the resume point are not verified again, which keeps the start of a node with a long log short.
        log = StreamLog(folder / "log", subject, known=None if resume_point is None else resume_point.position)
        # Callbacks run in reverse: the committer stops writing before its index and its log are closed.
        stack.callback(log.close)
        dedup_index = DedupIndex(folder / "known", log)
        stack.callback(dedup_index.close)
        committer = Committer(log, dedup_index, self.metrics.frames.labels(stream.name).observe)
        stack.callback(committer.stop)
        recorder = StreamRecorder(
            stream.name,
            subject,
            log,
            self._store,
            self._signer.address,
            self._config.anchor,
            self.drafts,
            self._logger,
            self._certifier(stream, subject, folder),
            folder / "resume",
            lambda windows: committer.submit(windows).result(),
        )
        return _Stream(stream.name, log, committer, recorder)

    def direct(self, recorders: Sequence[StreamRecorder]) -> Callable[[], tuple[KeySubmitter, VerifyLogs]]:
        """Returns a function that connects to the company's own chain node and checks the configuration against it."""

        def connect() -> tuple[KeySubmitter, VerifyLogs]:
            chain = connect_chain(self._config, self._signer.address, self._inspector)
            verify_logs(chain, recorders)
            self.lots.connect(chain)
            # Does nothing on chains without such a method: there the key must hold a balance, or gas be free.
            chain.fund(self._signer.address)
            submitter = Submitter(chain, Outbox(self._store), self._signer, report=build_report(self._logger))
            return submitter, partial(verify_logs, chain, thorough=False)

        return connect

    def funds(self) -> FundsWatch:
        """Watches the balance of the node's key, by a connection of its own."""

        def connect() -> Chain:
            return connect_chain(self._config, self._signer.address, self._inspector)

        return FundsWatch(connect, self._store, [self._signer.address], self._logger)

    def relayed(
        self, stack: ExitStack, config: RelayConfig, deployment: Deployment
    ) -> Callable[[], tuple[KeySubmitter, VerifyLogs]]:
        """Returns a function that connects to the relay. Raises SettingsError for an unusable token file."""
        relay = open_relay(stack, config)
        # A relay tells nothing of the ledger's anchors; what it cannot record fails.
        return lambda: (connect_relay(relay, config, deployment, self._store, self._signer), lambda _: None)

    def intakes(self, streams: Sequence[_Stream]) -> Mapping[str, StreamIntake]:
        model = self._config.model
        plain = {stream.name: StreamIntake(stream.committer, None) for stream in streams}
        if model is None:
            return plain
        return {**plain, model.stream: StreamIntake(plain[model.stream].committer, model.field, self.lots)}

    def _certifier(self, stream: StreamConfig, subject: bytes, folder: Path) -> Certifier | None:
        model, inspector = self._config.model, self._inspector
        if model is None or inspector is None or model.stream != stream.name:
            return None
        from millmark.services.node.inspection import Certifier  # noqa: PLC0415 - needs numpy, which is not installed without a model

        def tell(index: int, reason: str) -> None:
            self._logger.warning("certificate refused", stream=stream.name, leaf=index, reason=reason)

        return Certifier(
            subject, self._ledger, model, inspector, self._store, folder, self.dead_letters, self.lots, tell
        )


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Creates the data folder if needed and locks it until exit. Raises SettingsError if another node has locked it, or
    if its mode lets other users in."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}", hint="set another data_folder") from error
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError(f"{path} is open to other users", hint=f"chmod 700 {path}")
        try:
            # The kernel releases the lock with the process, so a killed node leaves no stale lock behind.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"another node is using {path}", hint="stop it first") from None
        yield
    finally:
        os.close(descriptor)


def _open_model(model: ModelSource) -> Inspector:
    from millmark.services.node.inspection import load_inspector  # noqa: PLC0415 - as in `_certifier`

    return load_inspector(model)


def _open_broker(broker: MqttSource, intake: Intake, logger: FilteringBoundLogger) -> MqttCapture:
    from millmark.services.node.mqtt_capture import MqttCapture  # noqa: PLC0415 - most nodes have no broker

    return MqttCapture(broker, intake, logger)


def _open_server(server: OpcuaSource, intake: Intake, logger: FilteringBoundLogger) -> OpcuaCapture:
    from millmark.services.node.opcua_capture import OpcuaCapture  # noqa: PLC0415 - needs the extra opcua, which few nodes have

    return OpcuaCapture(server, intake, logger)


def _describe(stream: _Stream, anchored: int) -> StreamHealth:
    failure = stream.committer.failure
    told = None if failure is None else str(failure)
    return StreamHealth(stream.name, stream.log.end.index, stream.recorder.queued, anchored, told)


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
