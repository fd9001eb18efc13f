"""Assembles a node: opens its parts in order, starts their threads, and closes them in reverse order.

Before it are the checks that come first; after it, the backup of its folder and the whole process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from millmark.ledger import errors, keys, signatures, submit
from millmark.ledger.chain import Chain, Deployment, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.records import Contract, ModelState
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.services import backup as backups
from millmark.services.node import config as settings
from millmark.services.node import events, http_capture
from millmark.services.node import submission as submitting
from millmark.services.node.evidence_recorder import StreamRecorder, read_resume_point
from millmark.services.node.inspection import Certifier, load_inspector
from millmark.services.node.intake import FolderCapture, Intake, Lots, Metrics, StreamIntake
from millmark.services.node.streamlog import Committer, DedupIndex, StreamLog
from millmark.services.node.submission import Health, KeySubmitter
from millmark.services.node.windows import Drafts
from millmark.services.serving import hosts, logs
from millmark.services.serving.loop import REST_S, FundsWatch, Pulse, Trouble, describe_damage, public_cause
from millmark.services.serving.server import build_server, collect_rarely, listen, serve_on
from millmark.services.store import open_store, sqlite_path

if TYPE_CHECKING:
    from millmark.quality import Inspector
    from millmark.services.node.mqtt_capture import MqttCapture
    from millmark.services.node.opcua_capture import OpcuaCapture
    from millmark.services.relay import HttpRelay


# Checks before a node submits: signing key, streams and model match the ledger.
#
# With a relay, the only check is that it sends to the deployment's ledger, whose contracts then check every record.


def connect_chain(config: settings.NodeConfig, key: bytes, inspector: Inspector | None) -> Chain:
    """Connects to the company's own chain node and checks chain, contracts and configuration. Raises
    ChainUnreachableError, WrongChainError, WrongContractError, or SettingsError as `verify_registered` does."""
    if config.chain.url is None:
        raise errors.SettingsError("no chain is configured", hint="set the chain's url")
    node = Node(HttpTransport(config.chain.url))
    chain = Chain(node, find_profile(config.chain.engine), read_deployment(config.chain.deployment))
    verify_registered(chain, config, key, inspector)
    return chain


def open_relay(stack: ExitStack, config: settings.RelayConfig) -> HttpRelay:
    """Opens a client of the relay, which `stack` closes. Raises SettingsError for an unusable token file."""
    from millmark.services.relay import HttpRelay  # noqa: PLC0415 - needs an HTTP client, which is not installed without a relay

    relay = HttpRelay(config.url, None if config.token_file is None else settings.read_secret(config.token_file))
    stack.callback(relay.close)
    return relay


def connect_relay(
    relay: HttpRelay, config: settings.RelayConfig, deployment: Deployment, store: Store, signer: signatures.Signer
) -> submit.RelaySubmitter:
    """Returns a submitter that sends through the relay. Raises ChainUnreachableError, and WrongChainError if the relay
    sends to another ledger."""
    terms = relay.terms(signer.address)
    # Requests are bound to chain and forwarder by their signature: any other relay would have to refuse all of them.
    if (terms.chain_id, terms.forwarder) != (deployment.chain_id, deployment.forwarder):
        raise errors.WrongChainError(
            f"the relay uses chain {terms.chain_id} and forwarder 0x{terms.forwarder.hex()}, "
            f"but the deployment has chain {deployment.chain_id} and forwarder 0x{deployment.forwarder.hex()}",
            hint="correct the relay's url or the deployment file",
        )
    return submit.RelaySubmitter(relay, deployment, store, signer, validity_s=config.validity_s)


def verify_registered(chain: Chain, config: settings.NodeConfig, key: bytes, inspector: Inspector | None) -> None:
    """Checks the configuration against the ledger. Raises SettingsError.

    1. The signing key acts for a participant.
    2. Each stream is on the ledger, belongs to that participant, and is of the configured machine.
    3. The model's digest is that of the file, and the model is approved.
    """
    try:
        # The function by which the contracts themselves find the participant who acts, so the two cannot disagree.
        participant = cast(int, chain.read(Contract.REGISTRY, "actorOf", key)[0])
    except errors.ContractRefusedError as error:
        raise errors.SettingsError(
            f"key 0x{key.hex()} acts for no participant: {error.name}",
            hint="have the company add the key, or use another",
        ) from None
    for stream in config.streams:
        _verify_stream(chain, stream, participant)
    if config.model is not None and inspector is not None:
        _verify_model(chain, config.model.number, inspector)


def verify_logs(chain: Chain, recorders: Iterable[StreamRecorder], *, thorough: bool = True) -> None:
    """Checks that every log contains the entries that the ledger has anchored. Unless `thorough`, a log is not read if
    the ledger's latest anchor is one of the outbox. Raises SettingsError if a database is older than the ledger,
    StoreDamagedError if a log differs."""
    for recorder in recorders:
        # An anchor over a log that lost or changed anchored entries could never be proved consistent with the earlier
        # ones.
        found = chain.read_struct(Contract.LEDGER, "streamOf", recorder.stream)
        size, root = cast(int, found["size"]), cast(bytes, found["root"])
        if thorough or not recorder.is_own_anchor(size, root):
            recorder.verify_anchored(size, root)


def _verify_stream(chain: Chain, stream: settings.StreamConfig, participant: int) -> None:
    found = chain.read_struct(Contract.LEDGER, "streamOf", bytes.fromhex(stream.subject[2:]))
    owner, machine = cast(int, found["owner"]), cast(int, found["machine"])
    if found["sequence"] == 0:
        raise errors.SettingsError(
            f"stream {stream.name} is not on the ledger", hint="open the stream, or correct its subject"
        )
    if owner != participant:
        raise errors.SettingsError(
            f"stream {stream.name} belongs to participant {owner}, but the key acts for {participant}",
            hint="use a stream of that participant, or a key of the stream's owner",
        )
    if machine != stream.machine:
        raise errors.SettingsError(
            f"stream {stream.name} belongs to machine {machine}, not {stream.machine}",
            hint="correct the machine number",
        )


def _verify_model(chain: Chain, number: int, inspector: Inspector) -> None:
    found = chain.read_struct(Contract.REGISTRY, "modelOf", number)
    # A certificate names its model by number: issued with another file, each could be refuted on chain.
    if found["digest"] != inspector.model_digest:
        raise errors.SettingsError(
            f"model {number} on the ledger differs from the model file", hint="correct the model's number or its file"
        )
    if found["state"] != ModelState.APPROVED:
        raise errors.SettingsError(f"model {number} is not approved", hint="have an auditor approve it")


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
        config: settings.NodeConfig,
        intake: Intake,
        streams: Sequence[_Stream],
        submission: submitting.SubmissionLoop,
        pulse: Pulse,
        store: Store,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        funds: FundsWatch | None = None,
    ) -> None:
        self.config, self.intake, self.logger, self._streams = config, intake, logger, streams
        self._submission, self._pulse, self._funds = submission, pulse, funds
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
            outbox = submitting.describe_outbox(self._outbox)
            streams = [_describe(stream, stream.recorder.count_anchored()) for stream in self._streams]
            found += describe_damage(self._store)
        except errors.MillmarkError as error:
            found.append(Trouble("database", error.code, public_cause(error), time.time(), error.hint))
            streams = [_describe(stream, 0) for stream in self._streams]
        timed = bool(getattr(self._profile, "timed_blocks", False))
        health = Health(streams, submission.connected, submission.head, found, outbox, timed)
        self._measure(health)
        return health

    def _idle(self) -> Iterator[Trouble]:
        """The threads that do not do their work, the sources that are not connected, and a key that runs low."""
        loops = self._submission.loop, self._pulse.loop
        yield from (one for one in (loop.trouble() for loop in loops) if one is not None)
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
        token = None if token_file is None else settings.read_secret(token_file)
        return http_capture.create_capture(self.intake, self.metrics, self.health, token, self.logger)

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Captures from folders, brokers and OPC UA servers until exit. Raises SettingsError if a source cannot be
        used, NotInstalledError if it needs an extra."""
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
        metrics.log_lost.set(logs.STANDARD_ERROR.lost)
        metrics.troubles.clear()
        for one in (*health.troubles, *health.alarms):
            metrics.troubles.labels(one.where, one.code).set(1)
        metrics.outbox.clear()  # otherwise a state without records would keep its last count
        records, oldest = health.outbox.get("records"), health.outbox.get("oldest_waiting")
        for state, count in records.items() if isinstance(records, dict) else ():
            metrics.outbox.labels(state).set(count)
        metrics.oldest.set(oldest["age_s"] if isinstance(oldest, dict) else 0)


@contextmanager
def open_agent(config: settings.NodeConfig, logger: FilteringBoundLogger | None = None) -> Iterator[Agent]:
    """Opens the node and starts its threads. On exit every acknowledged event is durable; unsent records stay queued.
    Raises SettingsError, SigningError, StoreDamagedError, WrongChainError or WrongContractError, before any event is
    accepted, if the configuration is unsafe or does not match the ledger, and StoreError if the database or the folder
    of evidence cannot be used yet. An unreachable chain does not prevent the start: events are accepted and records are
    queued until it answers."""
    logger = logger or logs.build_logger()
    with ExitStack() as stack:
        # First of all: a second node must not even open the logs, since opening one cuts off a torn tail.
        stack.enter_context(lock_folder(config.data_folder))
        signer = keys.open_signer(config.signer.uri, passphrase_file=config.signer.passphrase_file)
        inspector = None if config.model is None else load_inspector(config.model)
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
        except errors.ChainUnreachableError:
            logger.warning("the chain does not answer; events are accepted and records queued until it does")
        failed = parts.metrics.failed
        submission = submitting.SubmissionLoop(
            recorders, connect, Outbox(store), parts.drafts, logger, lambda kind: failed.labels(kind).inc()
        )
        parts.take_up = submission.take_up
        pulse = Pulse(store, logger)
        pulse.let_rest(REST_S, submission.loop)
        pulse.start()
        submission.start()
        # Registered last, so it stops first: the loop uses the logs, the store and the relay.
        stack.callback(pulse.stop)
        stack.callback(submission.stop)
        funds = parts.funds() if relay is None and not find_profile(config.chain.engine).faucet else None
        if funds is not None:
            funds.start()
            stack.callback(funds.stop)
        intake = Intake(parts.intakes(streams), parts.dead_letters, parts.metrics)
        yield Agent(config, intake, streams, submission, pulse, store, parts.metrics, logger, funds)


class _Parts:
    """Builds the parts of each stream from what all streams share."""

    def __init__(
        self,
        config: settings.NodeConfig,
        store: Store,
        signer: signatures.Signer,
        inspector: Inspector | None,
        ledger: tuple[int, bytes],
        logger: FilteringBoundLogger,
    ) -> None:
        self._config, self._store, self._signer, self._inspector = config, store, signer, inspector
        self._ledger, self._logger = ledger, logger
        self.metrics = Metrics()
        self.dead_letters = events.DeadLetters(config.data_folder / DEAD_LETTERS, self.metrics.refused)
        self.lots = Lots(store, asks=config.relay is None)
        self.drafts = Drafts(_folder(config.data_folder / "drafts"), store)
        self.take_up: Callable[[], None] = lambda: None
        """Called when a log has new entries."""

    def open_stream(self, stack: ExitStack, stream: settings.StreamConfig) -> _Stream:
        folder = _folder(self._config.data_folder / "streams" / stream.name)
        subject = bytes.fromhex(stream.subject[2:])
        resume_point = read_resume_point(folder / "resume")
        # Frames before the resume point are not verified again, which keeps the start of a node with a long log short.
        log = StreamLog(folder / "log", subject, known=None if resume_point is None else resume_point.position)
        # Callbacks run in reverse: the committer stops writing before its index and its log are closed.
        stack.callback(log.close)
        dedup_index = DedupIndex(folder / "known", log)
        stack.callback(dedup_index.close)
        observe = self.metrics.frames.labels(stream.name).observe

        def note(entries: int) -> None:
            observe(entries)
            self.take_up()

        committer = Committer(log, dedup_index, note)
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

    def direct(self, recorders: Sequence[StreamRecorder]) -> Callable[[], tuple[KeySubmitter, submitting.VerifyLogs]]:
        """Returns a function that connects to the company's own chain node and checks the configuration against it."""

        def connect() -> tuple[KeySubmitter, submitting.VerifyLogs]:
            chain = connect_chain(self._config, self._signer.address, self._inspector)
            verify_logs(chain, recorders)
            self.lots.connect(chain)
            # Does nothing on chains without such a method: there the key must hold a balance, or gas be free.
            chain.fund(self._signer.address)
            submitter = submit.Submitter(
                chain, Outbox(self._store), self._signer, report=submitting.build_report(self._logger)
            )
            return submitter, partial(verify_logs, chain, thorough=False)

        return connect

    def funds(self) -> FundsWatch:
        """Watches the balance of the node's key, by a connection of its own."""

        def connect() -> Chain:
            return connect_chain(self._config, self._signer.address, self._inspector)

        return FundsWatch(connect, self._store, [self._signer.address], self._logger)

    def relayed(
        self, stack: ExitStack, config: settings.RelayConfig, deployment: Deployment
    ) -> Callable[[], tuple[KeySubmitter, submitting.VerifyLogs]]:
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

    def _certifier(self, stream: settings.StreamConfig, subject: bytes, folder: Path) -> Certifier | None:
        model, inspector = self._config.model, self._inspector
        if model is None or inspector is None or model.stream != stream.name:
            return None

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
        raise errors.SettingsError(
            f"{path} cannot be used: {error.strerror}", hint="set another data_folder"
        ) from error
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise errors.SettingsError(f"{path} is open to other users", hint=f"chmod 700 {path}")
        try:
            # The kernel releases the lock with the process, so a killed node leaves no stale lock behind.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise errors.SettingsError(f"another node is using {path}", hint="stop it first") from None
        yield
    finally:
        os.close(descriptor)


def _open_broker(broker: settings.MqttSource, intake: Intake, logger: FilteringBoundLogger) -> MqttCapture:
    from millmark.services.node.mqtt_capture import MqttCapture  # noqa: PLC0415 - most nodes have no broker

    return MqttCapture(broker, intake, logger)


def _open_server(server: settings.OpcuaSource, intake: Intake, logger: FilteringBoundLogger) -> OpcuaCapture:
    from millmark.services.node.opcua_capture import OpcuaCapture  # noqa: PLC0415 - needs the extra opcua, which few nodes have

    return OpcuaCapture(server, intake, logger)


def _describe(stream: _Stream, anchored: int) -> submitting.StreamHealth:
    failure = stream.committer.failure
    told = None if failure is None else str(failure)
    return submitting.StreamHealth(stream.name, stream.log.end.index, stream.recorder.queued, anchored, told)


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


# Backup of a node, running or not, and restoring it.
#
# Logs and evidence files are copied after the database: then the copies hold at least every entry that the copied
# database refers to, which a node requires when it opens them.


def back_up(config: settings.NodeConfig, target: Path) -> None:
    """Copies the node's state into `target`, which must not exist yet. Raises InputError if `target` exists or cannot
    be written, SettingsError if the database is not SQLite."""
    database = _database(config)
    source = config.data_folder
    try:
        target.mkdir(mode=0o700, parents=True)
        # Drafts are copied before and after the database. The first pass catches those that are settled, and removed,
        # once the database is copied; the second those written meanwhile, whose records the copy may already hold.
        _copy_some(source, target, "drafts/*.json")
        backups.copy_sqlite(database, target / backups.DATABASE)
        _copy_some(source, target, "drafts/*.json")
        if config.evidence_folder is not None:
            backups.copy_evidence(config.evidence_folder, target / backups.EVIDENCE)
        backups.verify_evidence(target)
        for pattern in ("streams/*/failed-lots.json", "streams/*/log", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(source, target, pattern)
    except (OSError, sqlite3.Error) as error:
        raise errors.InputError(
            f"{target} cannot be written: {error}", hint="name a folder that does not exist yet"
        ) from error


def restore(config: settings.NodeConfig, backup: Path) -> Mapping[str, int]:
    """Restores a backup into a data folder that does not exist yet. Returns the number of log entries by stream name.

    The dedup index is not part of a backup; the next start rebuilds it from the log. Raises InputError if the data
    folder or the database exists or `backup` is not a backup, StoreDamagedError for a damaged log, and SettingsError if
    a log belongs to another stream or the database is not SQLite.
    """
    database, folder = _database(config), config.data_folder
    if not (backup / backups.DATABASE).is_file():
        raise errors.InputError(
            f"{backup} is not a node backup", hint="name the folder that `millmark node backup` wrote"
        )
    if folder.exists() or database.exists():
        raise errors.InputError(f"{folder} or {database} already exists", hint="move it away first")
    if config.evidence_folder is None and (backup / backups.EVIDENCE).is_dir():
        raise errors.SettingsError(f"{backup} has files of evidence", hint="set evidence_folder to where they go")
    backups.verify_evidence(backup)
    if config.evidence_folder is not None and backups.is_filled(config.evidence_folder):
        raise errors.InputError(f"{config.evidence_folder} is not empty", hint="move what is in it away first")
    found = {}
    with lock_folder(folder):
        for pattern in ("drafts/*.json", "streams/*/*", "folder-*.json", "dead-letters.jsonl*"):
            _copy_some(backup, folder, pattern)
        shutil.copyfile(backup / backups.DATABASE, database)
        if config.evidence_folder is not None and (backup / backups.EVIDENCE).is_dir():
            config.evidence_folder.parent.mkdir(parents=True, exist_ok=True)
            backups.copy_all(backup / backups.EVIDENCE, config.evidence_folder)
        for stream in config.streams:
            path = folder / "streams" / stream.name / "log"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(StreamLog(path, bytes.fromhex(stream.subject[2:]))) as log:
                found[stream.name] = log.end.index
    return found


def _database(config: settings.NodeConfig) -> Path:
    database = sqlite_path(config.database_url)
    if database is None:
        raise errors.SettingsError(
            "the database is not SQLite",
            hint="use the database's own backup tools, then copy evidence_folder and the data folder",
        )
    return database


def _copy_some(source: Path, target: Path, pattern: str) -> None:
    for path in source.glob(pattern):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue  # a draft that was settled since the folder was listed
        copy.chmod(0o600)


_SWITCH_S = 0.0005
"""A tenth of Python's default. The thread that writes the log has to get the interpreter back after each disk call."""


def run_node(config: settings.NodeConfig) -> None:
    """Runs a node until SIGINT or SIGTERM. Raises SettingsError, before any event is accepted, for every failure that a
    restart does not cure: its exit code lets a supervisor such as systemd stop trying."""
    with _permanent_failures(), open_agent(config) as agent:
        app = agent.create_capture()
        tune_interpreter()
        listener = listen(config.http.host, config.http.port)
        sys.stdout.write(f"node on http://{config.http.host}:{listener.getsockname()[1]}; stop with Ctrl-C\n")
        sys.stdout.flush()
        with agent.capturing():
            checked = hosts.HostCheck(app, hosts.choose_hosts(config.http.host, config.http.hosts))
            serve_on([listener], build_server(checked, config.http.host, config.http.port))


def tune_interpreter() -> None:
    """Tunes thread switching and garbage collection for short commits. Call it once everything is loaded: existing
    objects are exempted from garbage collection."""
    sys.setswitchinterval(_SWITCH_S)
    collect_rarely()


@contextmanager
def _permanent_failures() -> Iterator[None]:
    """Turns failures that a restart does not cure into SettingsError."""
    try:
        yield
    except (errors.SigningError, errors.StoreDamagedError, errors.WrongChainError, errors.WrongContractError) as error:
        raise errors.SettingsError(error.cause, hint=error.hint) from error
