"""Acts for the consortium's operator with its key, or for a member of the council with the company's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from ledger.chain import Chain
from ledger.chain.council import Council, Motion, MotionState, build_call, describe_call, find_council
from ledger.claims import build_claims
from ledger.errors import InputError, NotFoundError
from ledger.records import PublicationKind, Publish, Record, Reinstate, Suspend
from ledger.signatures import Signer
from ledger.store import Book, Connection, Registry, Rows, Store
from ledger.store.rows import ParticipantRow
from services.directory.document import DirectoryEntry
from services.directory.following import Operators, fetch_operators, published_digest
from services.directory.issuing import draft_entries, issue_directory, keep_admission, verify_admissible
from services.directory.repository import DirectoryRepository
from services.gateway.recording import Recorder
from services.gateway.recording.repository import RecordingRow
from services.home import AdmissionRequest, candidate_of, find_admitted, find_unaccepted, parse_request
from services.home.candidates import keep_candidate, verify_for_this_ledger
from services.portal.consortium_desk import Change, CouncilView, Governance, MotionView, Vote

__all__ = ["GatewayConsortiumDesk"]

_MOST_MOTIONS = 20


class GatewayConsortiumDesk:
    """`connect` connects to the chain, once, at the first request; requests take turns. `operator` records with the
    operator's key, `company` with that of the company whose gateway it is."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Chain] | None,
        operator: tuple[Recorder, Signer] | None,
        company: Recorder | None,
        clock: Callable[[], int],
    ) -> None:
        self._store, self._connect, self._operator, self._company = store, connect, operator, company
        self._clock, self._one = clock, threading.Lock()
        self._chain: Chain | None = None

    def governance(self) -> Governance | None:
        if self._connect is None:
            return None
        with self._one:
            chain = self._open()
            owner = fetch_operators(chain).owner
            try:
                council, owns = find_council(chain)
            except NotFoundError:
                return Governance(owner, None)
            return Governance(owner, _view(council, owns=owns))

    def operates(self, governance: Governance) -> bool:
        return self._operator is not None and self._operator[1].address == governance.owner

    def member(self) -> int | None:
        if self._company is None:
            return None
        with self._store.reading() as connection:
            found = Registry(connection).participant_of(self._company.key)
        return None if found is None else found.number

    def changes(self) -> list[Change]:
        with self._store.reading() as connection:
            known = {one.participant: one for one in DirectoryRepository(connection).entries()}
            drafted = {one.participant: one for one in draft_entries(connection)}
        numbers = sorted(known.keys() | drafted.keys())
        pairs = [Change(known.get(number), drafted.get(number)) for number in numbers]
        return [one for one in pairs if one.before != one.now]

    def waiting(self) -> list[DirectoryEntry]:
        with self._store.reading() as connection:
            rows = DirectoryRepository(connection).admissions()
            unaccepted = find_unaccepted(connection)
        return [row.to_entry() for row in rows if not row.participant or row.participant in unaccepted]

    def read_request(self, data: bytes) -> tuple[AdmissionRequest, int | None]:
        request = parse_request(data)
        verify_for_this_ledger(self._store, [request])
        with self._store.reading() as connection:
            return request, find_admitted(connection, request.key)

    def admit(self, key: str, data: bytes) -> int | None:
        request, number = self.read_request(data)
        recorder, _ = self._sign()
        candidate = candidate_of(request)

        def keep(connection: Connection) -> None:
            entry = replace(candidate.entry, participant=number or 0)
            verify_admissible(connection, {candidate.key: entry})
            keep_admission(connection, candidate.key, entry)

        def write(connection: Connection) -> Record:
            keep(connection)
            return keep_candidate(connection, candidate)

        if number is None:
            return self._queue(recorder, key, write)
        with self._store.transaction() as connection:
            keep(connection)
        return None

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

    def publish(self, key: str) -> int:
        recorder, signer = self._sign()

        def write(connection: Connection) -> Record:
            # Its owner alone: a council publishes by a motion.
            operators = Operators(signer.address)
            signed, in_force = issue_directory(connection, signer, operators, self._clock())
            if in_force and published_digest(connection) == signed.digest:
                raise InputError("the directory in force says all of it already", hint="load the page again")
            return Publish(PublicationKind.DIRECTORY, signed.digest)

        return self._queue(recorder, key, write)

    def describe(self, call: str, arguments: list[str]) -> MotionView:
        with self._one:
            council = self._council()
            target, data = build_call(council.chain, council.address, call, arguments)
            shown = describe_call(council.chain, council.address, target, data)
        return MotionView(Motion(0, target, data, MotionState.OPEN, (), 0, 0, 0), shown)

    def propose(self, call: str, arguments: list[str]) -> int:
        wanted = self.describe(call, arguments)
        with self._vote() as (council, signer):
            # A form that is sent twice must not make two motions.
            for one in islice(council.motions(), _MOST_MOTIONS):
                open_ = one.state in (MotionState.OPEN, MotionState.WAITING, MotionState.DUE)
                if open_ and (one.target, one.data) == (wanted.motion.target, wanted.motion.data):
                    return one.number
            return council.propose(signer, wanted.motion.target, wanted.motion.data)

    def vote(self, number: int, mark: str, vote: Vote) -> None:
        acts = {Vote.APPROVE: Council.approve, Vote.RETRACT: Council.retract, Vote.EXECUTE: Council.execute}
        with self._vote() as (council, signer):
            motion = council.motion(number)
            if MotionView(motion, "").mark != mark:
                raise InputError("the motion is another one than the form showed", hint="load the page again")
            acts[vote](council, signer, number)

    @contextmanager
    def _vote(self) -> Iterator[tuple[Council, Signer]]:
        """The council and the company's key, while nothing else is sent for that key."""
        if self._company is None:
            raise InputError("this gateway has no key of a company", hint="vote with `millmark council`")
        with self._one, self._company.alone() as (_, signer):
            yield self._council(), signer

    def _council(self) -> Council:
        """Raises NotFoundError if there is none. Call it with the lock."""
        return find_council(self._open())[0]

    def _open(self) -> Chain:
        if self._chain is None:
            if self._connect is None:
                raise NotFoundError("this gateway has no chain", hint="set chain_url")
            self._chain = self._connect()
        return self._chain

    def _sign(self) -> tuple[Recorder, Signer]:
        """Raises InputError unless the gateway signs for whoever owns the registry, OutboxOlderError or TryLaterError
        as long as nothing may be recorded."""
        governance = self.governance()
        if self._operator is None or governance is None or not self.operates(governance):
            raise InputError(
                "this gateway does not have the key that owns the registry",
                hint="use the operator's gateway; where a council owns the registry, propose a motion",
            )
        self._operator[0].verify_current()
        return self._operator

    def _queue(self, recorder: Recorder, key: str, write: Callable[[Connection], Record]) -> int:
        name = f"operator:{key}"
        found = recorder.find(name)
        return (found or recorder.queue_with(RecordingRow(name, 0, "[]"), write)).id


def _need(connection: Connection, participant: int, *, suspended: bool) -> None:
    """Raises NotFoundError, or InputError if the company is suspended, or is not, already."""
    row = Rows(connection).get(ParticipantRow, participant)
    if row is None or row.departed:
        raise NotFoundError(f"no participant {participant} could be suspended or reinstated")
    if row.suspended is not suspended:
        state = "is not suspended" if suspended else "is suspended already"
        raise InputError(f"participant {participant} {state}", hint="load the page again")


def _view(council: Council, *, owns: bool) -> CouncilView:
    found = list(islice(council.motions(), _MOST_MOTIONS + 1))
    shown = tuple(
        MotionView(one, describe_call(council.chain, council.address, one.target, one.data))
        for one in found[:_MOST_MOTIONS]
    )
    members = tuple(sorted(council.members))
    return CouncilView(council.address, owns, members, council.quorum, council.delay_s, shown, len(found) > len(shown))
