"""What the operator of the consortium, and members of its council, do on the portal's page: acts with the operator's
key, or for a member with the company's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import cast

from structlog.typing import FilteringBoundLogger

from millmark.ledger import errors
from millmark.ledger.chain import Chain
from millmark.ledger.chain.council import Council, Motion, MotionState, build_call, describe_call, find_council
from millmark.ledger.claims import build_claims
from millmark.ledger.records import Contract, PublicationKind, Publish, Record, Reinstate, Suspend
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Connection, Registry, Rows, Store, outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.ledger.store.rows import ParticipantRow, RecordRow
from millmark.services import home
from millmark.services.directory import following
from millmark.services.directory.document import ConsortiumGround, DirectoryError, SignedDirectory
from millmark.services.directory.repository import DirectoryRepository, DirectoryState
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.recording.repository import RecordingRow
from millmark.services.home import admissions
from millmark.services.portal.consortium import Change, CouncilView, Governance, MotionView, Vote, Waiting, votes_of
from millmark.services.serving.loop import Loop, Looped

# What the chain says now of who decides for the consortium.

MOST_MOTIONS = 20
_FRESH_S = 5.0
"""How long a view is shown again. It takes some hundred calls to the node."""
_GLANCE_S, _PATIENCE_S, _OLD_S = 30.0, 1.0, 300.0
"""For a page that shows something else in the first place: how long it does not ask again, and waits for the answer;
after how long it would rather show nothing than what may have been over for long."""


class Governing:
    """`connect` connects to the chain, once, at the first request; requests take turns. `seconds` is a monotonic
    clock."""

    def __init__(self, connect: Callable[[], Chain] | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self._connect, self._seconds = connect, seconds
        self._one, self._starting = threading.Lock(), threading.Lock()
        self._chain: Chain | None = None
        self._view: tuple[float, Governance] | None = None
        self._looking: threading.Thread | None = None
        self._looked_s = -_GLANCE_S

    def owner(self) -> bytes | None:
        """Address of the key or contract that owns the registry; None without a chain. Raises ChainError."""
        if self._connect is None:
            return None
        with self._one:
            return _owner_of(self._open())

    def view(self) -> Governance | None:
        """At most a few seconds old; None without a chain. Raises ChainError."""
        if self._connect is None:
            return None
        with self._one:
            if self._view is None or self._seconds() - self._view[0] > _FRESH_S:
                # The time before the calls: a view is as old as the first of them.
                self._view = self._seconds(), _governance_of(self._open())
            return self._view[1]

    def glance(self) -> Governance | None:
        """The latest view, which is made anew beside the caller now and then. None if there is none of the last five
        minutes: the caller waits a second at most, and not again for some time, however long the node takes."""
        if self._connect is None:
            return None
        now_s, known = self._seconds(), self._view
        if known is None or now_s - known[0] > _GLANCE_S:
            self._look(now_s)
            known = self._view
        return None if known is None or self._seconds() - known[0] > _OLD_S else known[1]

    def _look(self, now_s: float) -> None:
        with self._starting:
            idle = self._looking is None or not self._looking.is_alive()
            if not idle or now_s - self._looked_s < _GLANCE_S:
                return
            self._looked_s = now_s
            # A daemon: a node that never answers must not keep the gateway from ending.
            looking = self._looking = threading.Thread(target=self._try, name="millmark-council", daemon=True)
            looking.start()
        looking.join(_PATIENCE_S)

    def _try(self) -> None:
        with suppress(errors.ChainError):
            self.view()

    @contextmanager
    def council(self) -> Iterator[Council]:
        """The council, while nothing else asks the chain; afterwards the view is read again. Raises NotFoundError if
        there is none, ChainError."""
        with self._one:
            try:
                yield find_council(self._open())[0]
            finally:
                self._view, self._looked_s = None, -_GLANCE_S

    def _open(self) -> Chain:
        if self._chain is None:
            if self._connect is None:
                raise errors.NotFoundError(ConsortiumGround.NO_CHAIN.write(), hint="set chain_url")
            self._chain = self._connect()
        return self._chain


def _owner_of(chain: Chain) -> bytes:
    return cast(bytes, chain.read(Contract.REGISTRY, "owner")[0])


def _governance_of(chain: Chain) -> Governance:
    owner = _owner_of(chain)
    try:
        council, owns = find_council(chain)
    except errors.NotFoundError:
        return Governance(owner, None)
    except errors.WrongContractError:
        return Governance(owner, None, foreign=True)
    return Governance(owner, _view(council, owns=owns))


def _view(council: Council, *, owns: bool) -> CouncilView:
    terms = council.terms()
    found = list(islice(council.motions(terms), MOST_MOTIONS + 1))
    shown = tuple(MotionView(one, _called(council, one)) for one in found[:MOST_MOTIONS])
    return CouncilView(council.address, owns, terms, shown, len(found) > len(shown))


def _called(council: Council, motion: Motion) -> str:
    return describe_call(council.chain, council.address, motion.target, motion.data)


_OPEN = (MotionState.OPEN, MotionState.WAITING, MotionState.DUE)


class GatewayConsortiumWriter:
    """`operator` records with the operator's key, `company` with that of the company whose gateway it is."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Chain] | None,
        operator: tuple[Recorder, Signer] | None,
        company: Recorder | None,
        clock: Callable[[], int],
    ) -> None:
        self._store, self._operator, self._company = store, operator, company
        self._clock, self._governing = clock, Governing(connect)
        self._acting = threading.Lock()
        """Held between the look for an earlier record and the new one."""

    def governance(self) -> Governance | None:
        return self._governing.view()

    def operates(self, owner: bytes | None = None) -> bool:
        if self._operator is None:
            return False
        return self._operator[1].address == (owner or self._governing.owner())

    def member(self) -> int | None:
        if self._company is None:
            return None
        with self._store.reading() as connection:
            found = Registry(connection).participant_of(self._company.key)
        return None if found is None else found.number

    def ballots(self) -> list[MotionView]:
        member = self.member()
        known = None if member is None else self._governing.glance()
        council = None if known is None else known.council
        if council is None or member not in council.terms.members:
            return []
        wanted = {Vote.APPROVE, Vote.EXECUTE}
        return [one for one in council.motions if wanted.intersection(votes_of(one, member))]

    def changes(self) -> list[Change]:
        with self._store.reading() as connection:
            known = {one.participant: one for one in DirectoryRepository(connection).entries()}
            drafted = {one.participant: one for one in following.draft_entries(connection)}
        numbers = sorted(known.keys() | drafted.keys())
        pairs = [Change(known.get(number), drafted.get(number)) for number in numbers]
        return [one for one in pairs if one.before != one.now]

    def waiting(self) -> list[Waiting]:
        with self._store.reading() as connection:
            rows = DirectoryRepository(connection).admissions()
            unaccepted = home.find_unaccepted(connection)
        shown = [row for row in rows if not row.participant or row.participant in unaccepted]
        records = admissions.find_admissions(self._store) if any(not row.participant for row in shown) else {}
        return [Waiting(row.address, row.to_entry(), records.get(row.address)) for row in shown]

    def drop(self, key: bytes) -> None:
        self._sign()
        with self._acting:
            if admissions.find_admission(self._store, key) is not None:
                raise errors.InputError(ConsortiumGround.ADMISSION_UNDER_WAY.write(), hint="load the page again")
            admissions.cancel_failed(self._store, key)
            with self._store.transaction() as connection:
                directories = DirectoryRepository(connection)
                row = directories.admission(key)
                if row is None or row.participant:
                    raise errors.NotFoundError("nothing of this key waits to be admitted")
                directories.drop_admission(key)

    def read_request(self, data: bytes) -> tuple[home.AdmissionRequest, int | None]:
        request = home.parse_request(data)
        admissions.verify_for_this_ledger(self._store, [request])
        with self._store.reading() as connection:
            return request, home.find_admitted(connection, request.key)

    def admit(self, data: bytes) -> int | None:
        recorder, _ = self._sign()
        with self._acting:
            request, number = self.read_request(data)
            if number is not None:
                with self._store.transaction() as connection:
                    _keep(connection, home.candidate_of(request), number)
                return None
            under_way = admissions.find_admission(self._store, request.key)
            if under_way is not None:
                admissions.verify_same_admission(self._store, under_way, request)
                return under_way.id
            admissions.cancel_failed(self._store, request.key)
            queued = self._admit(recorder, home.candidate_of(request))
            # A command may have been faster, with another request.
            admissions.verify_same_admission(self._store, outbox.Outbox(self._store).record(queued), request)
            return queued

    def _admit(self, recorder: Recorder, candidate: home.Candidate) -> int:
        def write(connection: Connection) -> Record:
            _keep(connection, candidate, 0)
            return admissions.keep_candidate(connection, candidate)

        # By the key, not by the form: two people, or two forms, make one record.
        return self._queue(
            recorder, f"admit:0x{candidate.key.hex()}", write, lambda record: record.state in admissions.ENDED
        )

    def suspend(self, key: str, participant: int, reason: str) -> int:
        recorder, _ = self._sign()

        def write(connection: Connection) -> Record:
            _need(connection, participant, suspended=False)
            claims = build_claims({"text": reason})
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
            return Suspend(participant, claims.root)

        return self._queue(recorder, key, write)

    def reinstate(self, key: str, participant: int) -> int:
        recorder, _ = self._sign()

        def write(connection: Connection) -> Record:
            _need(connection, participant, suspended=True)
            return Reinstate(participant)

        return self._queue(recorder, key, write)

    def publish(self) -> int:
        recorder, signer = self._sign()
        with self._acting:
            with self._store.transaction() as connection:
                signed = self._issue(connection, signer)
            record = Publish(PublicationKind.DIRECTORY, signed.digest)
            # By the document: two people, or two forms, make one record.
            return self._queue(
                recorder, f"publish:{signed.digest.hex()}", lambda _: record, partial(self._is_over, signed.digest)
            )

    def _issue(self, connection: Connection, signer: Signer) -> SignedDirectory:
        # Its owner alone: a council publishes by a motion.
        operators = following.Operators(signer.address)
        signed, in_force = following.issue_directory(connection, signer, operators, self._clock())
        if in_force and following.published_digest(connection) == signed.digest:
            raise errors.InputError(ConsortiumGround.NOTHING_NEW.write(), hint="load the page again")
        following.verify_publishable(connection, signed, operators)
        return signed

    def _is_over(self, digest: bytes, record: QueuedRecord) -> bool:
        """Whether the digest has to be published again: it was not, or another one was afterwards."""
        if record.state is not OutboxState.FINAL or record.sequence is None:
            return record.state in admissions.ENDED
        with self._store.reading() as connection:
            indexed = Rows(connection).get(RecordRow, record.contract, record.sequence) is not None
            return indexed and following.published_digest(connection) != digest

    def describe(self, call: str, arguments: list[str]) -> MotionView:
        with self._governing.council() as council:
            return _describe(council, call, arguments)

    def propose(self, call: str, arguments: list[str]) -> int:
        with self._vote() as (council, signer):
            wanted = _describe(council, call, arguments).motion
            # A form that is sent twice, or by two members, must not make two motions.
            for one in islice(council.motions(), MOST_MOTIONS):
                if one.state in _OPEN and (one.target, one.data) == (wanted.target, wanted.data):
                    if self.member() not in one.approvals:
                        council.approve(signer, one.number)
                    return one.number
            return council.propose(signer, wanted.target, wanted.data)

    def vote(self, number: int, mark: str, vote: Vote) -> None:
        acts = {Vote.APPROVE: Council.approve, Vote.RETRACT: Council.retract, Vote.EXECUTE: Council.execute}
        with self._vote() as (council, signer):
            motion = council.motion(number)
            if MotionView(motion, "").mark != mark:
                raise errors.InputError(ConsortiumGround.OTHER_MOTION.write(), hint="load the page again")
            acts[vote](council, signer, number)

    @contextmanager
    def _vote(self) -> Iterator[tuple[Council, Signer]]:
        """The council and the company's key, while nothing else is sent for that key."""
        if self._company is None:
            raise errors.InputError(ConsortiumGround.NO_COMPANY_KEY.write(), hint="vote with `millmark council`")
        with self._governing.council() as council, self._company.alone() as (_, signer):
            yield council, signer

    def _sign(self) -> tuple[Recorder, Signer]:
        """Raises InputError unless the gateway signs for whoever owns the registry, OutboxOlderError or TryLaterError
        as long as nothing may be recorded."""
        if self._operator is None or not self.operates():
            raise errors.InputError(
                ConsortiumGround.NO_OWNER_KEY.write(),
                hint="use the operator's gateway; where a council owns the registry, propose a motion",
            )
        self._operator[0].verify_current()
        return self._operator

    def _queue(
        self,
        recorder: Recorder,
        key: str,
        write: Callable[[Connection], Record],
        is_over: Callable[[QueuedRecord], bool] = lambda _: False,
    ) -> int:
        """The record that was queued under the key or, if that one is over, under one of the keys after it."""
        for name in admissions.names_of(key):
            found = recorder.find(name) or self._queue_as(recorder, name, write)
            if not is_over(found):
                return found.id
            if found.state is OutboxState.FAILED:  # it could be resumed beside the new one
                outbox.Outbox(self._store).cancel([name])
        raise AssertionError("there is no last name")

    def _queue_as(self, recorder: Recorder, name: str, write: Callable[[Connection], Record]) -> QueuedRecord:
        try:
            return recorder.queue_with(RecordingRow(name, 0, "[]"), write)
        except errors.DuplicateRecordError:
            # A command was faster. What `write` stored went with the transaction.
            found = recorder.find(name)
            if found is None:
                raise
            return found


def _keep(connection: Connection, candidate: home.Candidate, number: int) -> None:
    """Keeps what the directory will say. Raises InputError for names that are taken."""
    entry = replace(candidate.entry, participant=number)
    following.verify_admissible(connection, {candidate.key: entry})
    following.keep_admission(connection, candidate.key, entry)


def _describe(council: Council, call: str, arguments: list[str]) -> MotionView:
    target, data = build_call(council.chain, council.address, call, arguments)
    shown = describe_call(council.chain, council.address, target, data)
    return MotionView(Motion(0, target, data, MotionState.OPEN, (), 0, 0, 0), shown)


def _need(connection: Connection, participant: int, *, suspended: bool) -> None:
    """Raises NotFoundError, or InputError if the company is suspended, or is not, already."""
    row = Rows(connection).get(ParticipantRow, participant)
    if row is None or row.departed:
        raise errors.NotFoundError(f"no participant {participant} could be suspended or reinstated")
    if row.suspended is not suspended:
        ground = ConsortiumGround.NOT_SUSPENDED if suspended else ConsortiumGround.SUSPENDED_ALREADY
        raise errors.InputError(ground.write(participant=participant), hint="load the page again")


_LOOK_S, _RETRY_S = 1.0, 5.0


class Upkeep(Looped):
    """Notes the numbers of companies that the ledger admitted, and puts the directory that was signed here in force
    once its digest is published. `millmark participants admit` and `directory publish` do the same when they
    have waited."""

    def __init__(self, store: Store, connect: Callable[[], Chain], logger: FilteringBoundLogger) -> None:
        self._store, self._connect, self._logger = store, connect, logger
        self._refused: bytes | None = None
        """Digest of the directory that is not tried again."""
        failed = "the directory was not put in force"
        self.loop = Loop("millmark-operator", self._round, logger, failed=failed, retry_s=_RETRY_S)

    def _round(self) -> float:
        return _LOOK_S if self.step() else self.loop.idle(_LOOK_S)

    def step(self) -> bool:
        """Returns whether anything changed. Raises ChainError."""
        with self._store.transaction() as connection:
            noted = admissions.keep_numbers(connection)
        with self._store.reading() as connection:
            issued = DirectoryRepository(connection).signed(DirectoryState.ISSUED)
            is_published = issued is not None and following.published_digest(connection) == issued.digest
        if issued is None or not is_published or issued.digest == self._refused:
            return bool(noted)
        return self._take(issued) or bool(noted)

    def _take(self, issued: SignedDirectory) -> bool:
        """Puts the directory in force. One that is refused would be refused each time: it is forgotten, so that the
        next publication signs another one."""
        chain = self._connect()
        try:
            operators = following.fetch_operators(chain)
            with self._store.transaction() as connection:
                taken = following.take_directory(connection, issued, operators)
        except errors.WrongContractError as error:  # who may sign is not known; it is, to another version
            self._refused = issued.digest
            self._tell(error)
            return False
        except DirectoryError as error:
            with self._store.transaction() as connection:
                DirectoryRepository(connection).drop_issued(issued.digest)
            self._tell(error)
            return False
        self._logger.info("directory in force", companies=len(issued.directory.entries))
        return taken

    def _tell(self, error: errors.MillmarkError) -> None:
        self._logger.error("the published directory cannot be put in force", cause=error.cause, hint=error.hint)
