"""The page of the consortium: who belongs to it and who asks to, the directory, who decides, and the council's motions.

Everybody of the gateway's company may look at it. The forms are those of the operator's gateway, or of a company whose
key is a council member's; there, its administrators vote.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.chain.council import CALLS, CouncilTerms, Motion, MotionState, kebab
from millmark.ledger.errors import ChainError, InputError, MillmarkError, NotFoundError
from millmark.ledger.provenance.consortium import participant, participants
from millmark.ledger.records import Role
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Store
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.directory.document import DirectoryEntry, DirectoryError
from millmark.services.home import AdmissionRequest
from millmark.services.home.joining_files import MAX_REQUEST_BYTES
from millmark.services.portal.pages import ADMINISTRATORS, OWNER, Forms, Number, PageRoute, Pages, principal_of

# What the page of the consortium needs of the gateway. millmark.services.gateway.consortium supplies it: the portal
# does not import the gateway.


@dataclass(frozen=True, slots=True)
class MotionView:
    motion: Motion
    call: str
    """As `millmark council propose` takes it."""

    @property
    def mark(self) -> str:
        """Changes with what the motion would do. A form that shows it can be compared with the one that it reaches."""
        return f"{self.motion.target.hex()}{self.motion.data.hex()}"


@dataclass(frozen=True, slots=True)
class CouncilView:
    address: bytes
    owns: bool
    """Whether it owns the registry, or is offered it."""
    terms: CouncilTerms
    motions: tuple[MotionView, ...]
    """The latest ones, the latest first."""
    older: bool
    """Whether there are more."""


@dataclass(frozen=True, slots=True)
class Governance:
    """Who decides for the consortium, as the chain says now."""

    owner: bytes
    """Address of the key or council that owns the registry."""
    council: CouncilView | None
    foreign: bool = False
    """Whether a contract owns the registry, or is offered it, that is no council of this version."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the next directory says otherwise of a company. One of both is None if the company is only in the other."""

    before: DirectoryEntry | None
    now: DirectoryEntry | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A company that is to be admitted, or has not accepted its key yet."""

    key: bytes
    """Address of its first key."""
    entry: DirectoryEntry
    """`participant` is 0 until it is admitted."""
    record: QueuedRecord | None
    """Its admission in the outbox. None if it is admitted, or if none was recorded."""

    @property
    def is_stuck(self) -> bool:
        """Whether nothing admits it unless somebody tries again."""
        ended = self.record is None or self.record.state in (OutboxState.FAILED, OutboxState.CANCELLED)
        return not self.entry.participant and ended


class Vote(enum.StrEnum):
    """What a member does with a motion."""

    APPROVE = "approve"
    RETRACT = "retract"
    EXECUTE = "execute"


_VOTES = {
    MotionState.OPEN: (Vote.APPROVE, Vote.RETRACT),
    MotionState.WAITING: (Vote.RETRACT,),
    MotionState.DUE: (Vote.EXECUTE, Vote.RETRACT),
}


def votes_of(view: MotionView, member: int | None) -> tuple[Vote, ...]:
    """What a member can do with a motion now."""
    approves = member in view.motion.approvals
    hidden = Vote.APPROVE if approves else Vote.RETRACT
    return tuple(one for one in _VOTES.get(view.motion.state, ()) if one is not hidden)


class ConsortiumWriter(Protocol):
    """Acts for the consortium's operator, or for a member of the council."""

    def governance(self) -> Governance | None:
        """None for a gateway without a chain. Raises ChainError."""

    def operates(self, owner: bytes | None = None) -> bool:
        """Whether this gateway has the key that owns the registry: `owner` if that is known, else the chain is asked.
        Raises ChainError."""

    def member(self) -> int | None:
        """The participant for whose key the gateway votes; None if it has none."""

    def ballots(self) -> list[MotionView]:
        """Motions that the gateway's company can agree to or carry out, as the chain said within the last
        minutes. Empty if it is no member of the council, or if the node does not answer."""

    def changes(self) -> list[Change]:
        """What the next directory would say otherwise than the one in force."""

    def waiting(self) -> list[Waiting]:
        """Companies that were admitted and have not accepted their key yet, or whose admission was recorded here."""

    def drop(self, key: bytes) -> None:
        """Forgets what the directory would say of a company whose admission ended without being on the ledger, by its
        first key. Raises NotFoundError if there is none, InputError if it is on its way, and as `admit`."""

    def read_request(self, data: bytes) -> tuple[AdmissionRequest, int | None]:
        """A request to join, and the number of the company if it is admitted already. Raises InputError for one that
        cannot be used here."""

    def admit(self, data: bytes) -> int | None:
        """Keeps the directory entry that a company will have, and admits the company.

        Returns the record's number in the outbox: that of the earlier record if the same request is already under way,
        None if the company is already admitted.

        Raises the errors of `read_request`, ChainError and TryLaterError. Raises InputError for a name that is taken,
        for a key with which another request is under way, and at a gateway without the operator's key."""

    def suspend(self, key: str, participant: int, reason: str) -> int:
        """Returns the record's number in the outbox. Raises NotFoundError; InputError, ChainError, TryLaterError as
        `admit`."""

    def reinstate(self, key: str, participant: int) -> int:
        """As `suspend`."""

    def publish(self) -> int:
        """Signs the directory and publishes its digest, once. Raises InputError if nothing is new, DirectoryError if
        nobody could use it, and as `admit`."""

    def describe(self, call: str, arguments: list[str]) -> MotionView:
        """A motion that nobody has proposed yet; its number is 0. Raises InputError for a call that there is not."""

    def propose(self, call: str, arguments: list[str]) -> int:
        """Proposes and approves a motion, or approves the open one with the same call; returns its number.
        Raises InputError, NotFoundError, ChainError."""

    def vote(self, number: int, mark: str, vote: Vote) -> None:
        """Raises InputError if the motion is not what the form showed, NotFoundError, ChainError."""


HERE = "/portal/consortium"
_COST = 20
"""The page may take hundreds of calls to the chain's node."""
_LOOKERS = replace(OWNER, cost=_COST)
_RECORDERS = Rule(Scope.RECORDING, owner=True, page=True, cost=_COST)
_VOTERS = replace(ADMINISTRATORS, cost=_COST)
"""A vote binds the company, and decides about others: not for everybody who may record."""
_RECORD = "/portal/records/{}?back=" + HERE
_Token = Annotated[str, Form(max_length=128)]
_Key = Annotated[str, Form(pattern="^[A-Za-z0-9_-]{20,40}$")]
_Address = Annotated[str, Form(pattern="^[0-9a-f]{40}$")]
_Request = Annotated[str, Form(max_length=MAX_REQUEST_BYTES)]
_Reason = Annotated[str, Form(max_length=2000)]
_Call = Annotated[str, Form(max_length=40)]
_Arguments = Annotated[str, Form(max_length=2000)]
_CALLS = tuple(map(kebab, CALLS))


@dataclass(frozen=True, slots=True)
class ConsortiumPages:
    store: Store
    pages: Pages
    forms: Forms
    writer: ConsortiumWriter
    read_status: Callable[[], Any]

    def routes(self) -> tuple[PageRoute, ...]:
        acts = (
            ("admission", self.ask_admission),
            ("admission/confirm", self.admit),
            ("admission/drop", self.drop),
            ("directory", self.publish),
            ("{number}/suspend", self.suspend),
            ("{number}/reinstate", self.reinstate),
        )
        votes = (
            ("motions", self.ask_motion),
            ("motions/confirm", self.propose),
            ("motions/{number}/{vote}", self.vote),
        )
        return (
            PageRoute(HERE, self.show, _LOOKERS, menu="consortium", folded=True, live=False),
            PageRoute(f"{HERE}/{{number}}/suspend", self.ask_suspend, _RECORDERS, live=False),
            PageRoute(f"{HERE}/{{number}}/reinstate", self.ask_reinstate, _RECORDERS, live=False),
            *(PageRoute(f"{HERE}/{path}", endpoint, _RECORDERS, method="POST") for path, endpoint in acts),
            *(PageRoute(f"{HERE}/{path}", endpoint, _VOTERS, method="POST") for path, endpoint in votes),
        )

    # The page

    def show(self, request: Request) -> Response:
        return self._show(request)

    def _show(self, request: Request, refused: MillmarkError | None = None, **entered: str) -> Response:
        governance, silent = self._governance()
        may, may_vote = (one.is_met_by(principal_of(request)) for one in (_RECORDERS, _VOTERS))
        council, member = None if governance is None else governance.council, self.writer.member()
        belongs = council is not None and member in council.terms.members
        votes = may_vote and belongs
        values: dict[str, Any] = {
            "companies": participants(self.store),
            "waiting": self.writer.waiting(),
            "changes": self.writer.changes(),
            "owner": None if governance is None else to_checksum(governance.owner),
            "council": council,
            "foreign": governance is not None and governance.foreign,
            "wait": None if council is None else _wait_of(council.terms.delay_s),
            "address": None if council is None else to_checksum(council.address),
            "names": {one.participant: one for one in participants(self.store)},
            # By motion, what the member can do with it now.
            "offered": {
                one.motion.number: votes_of(one, member) for one in (council.motions if council and votes else ())
            },
            "silent": silent,
            "operates": may and governance is not None and self.writer.operates(governance.owner),
            "votes": votes,
            "asks_administrator": belongs and not votes,
            "calls": _CALLS,
            "gateway": self.read_status(),
            "refused": refused,
            "entered": entered,
        }
        status = 400 if refused is not None else 200
        return self.pages.render(request, "consortium.html", status, forms=self.forms, **values)

    def _governance(self) -> tuple[Governance | None, ChainError | None]:
        """And why it is not known, if the chain does not say: the rest of the page is worth showing."""
        try:
            return self.writer.governance(), None
        except ChainError as error:
            return None, error

    # Admission

    def ask_admission(self, request: Request, token: _Token, asked: _Request = "") -> Response:
        """What a company asks for, before it is admitted. Raises FormRefusedError."""
        self.forms.verify(request, token)
        try:
            found, number = self.writer.read_request(asked.encode())
        except InputError as error:
            return self._show(request, error, asked=asked)
        values: dict[str, Any] = {
            "asked": asked,
            "entry": found.entry,
            "address": to_checksum(found.key),
            "roles": [str(role.name).lower() for role in Role if role & found.roles],
            "number": number,
        }
        return self._confirm(request, "admission", **values)

    def admit(self, request: Request, token: _Token, asked: _Request) -> Response:
        """Raises FormRefusedError."""
        return self._act(request, token, lambda: self.writer.admit(asked.encode()))

    def drop(self, request: Request, token: _Token, address: _Address) -> Response:
        """Raises FormRefusedError, NotFoundError."""
        return self._act(request, token, lambda: self.writer.drop(bytes.fromhex(address)))

    # Suspension

    def ask_suspend(self, request: Request, number: Number) -> Response:
        """Raises NotFoundError."""
        return self._ask(request, "suspend", number)

    def ask_reinstate(self, request: Request, number: Number) -> Response:
        """Raises NotFoundError."""
        return self._ask(request, "reinstate", number)

    def _ask(self, request: Request, act: str, number: int, missing: bool = False) -> Response:
        found = participant(self.store, number)
        if found.suspended is (act == "suspend") or not self._operates():
            raise NotFoundError("this cannot be done here now")
        return self._confirm(request, act, one=found, missing=missing)

    def _operates(self) -> bool:
        try:
            return self.writer.operates()
        except ChainError:
            return False

    def suspend(self, request: Request, number: Number, token: _Token, key: _Key, reason: _Reason = "") -> Response:
        """Raises FormRefusedError, NotFoundError."""
        if not reason.strip():
            self.forms.verify(request, token)
            return self._ask(request, "suspend", number, missing=True)
        return self._act(request, token, lambda: self.writer.suspend(key, number, reason.strip()))

    def reinstate(self, request: Request, number: Number, token: _Token, key: _Key) -> Response:
        """Raises FormRefusedError, NotFoundError."""
        return self._act(request, token, lambda: self.writer.reinstate(key, number))

    # Directory

    def publish(self, request: Request, token: _Token) -> Response:
        """Raises FormRefusedError."""
        return self._act(request, token, self.writer.publish)

    # Motions

    def ask_motion(self, request: Request, token: _Token, call: _Call, arguments: _Arguments = "") -> Response:
        """What would be proposed. Raises FormRefusedError."""
        self.forms.verify(request, token)
        try:
            found = self.writer.describe(call, arguments.split())
        except (InputError, NotFoundError, ChainError) as error:
            return self._show(request, error, call=call, arguments=arguments)
        return self._confirm(request, "motion", call=call, arguments=arguments, shown=found.call)

    def propose(self, request: Request, token: _Token, call: _Call, arguments: _Arguments = "") -> Response:
        """Raises FormRefusedError."""
        return self._act(request, token, lambda: self._voted(lambda: self.writer.propose(call, arguments.split())))

    def vote(
        self, request: Request, number: Number, vote: Vote, token: _Token, mark: Annotated[str, Form(max_length=65_536)]
    ) -> Response:
        """Raises FormRefusedError, NotFoundError."""
        return self._act(request, token, lambda: self._voted(lambda: self.writer.vote(number, mark, vote)))

    def _voted(self, act: Callable[[], object]) -> None:
        """Votes are no records: they are on the chain when this returns."""
        act()

    # What all have in common

    def _act(self, request: Request, token: str, act: Callable[[], int | None]) -> Response:
        """Records what the form asks for, and leads to the record's page, or back. A refusal is shown on the page."""
        self.forms.verify(request, token)
        try:
            number = act()
        except (InputError, ChainError, DirectoryError) as error:
            return self._show(request, error)
        return RedirectResponse(HERE if number is None else _RECORD.format(number), 303)

    def _confirm(self, request: Request, act: str, **values: Any) -> Response:
        values |= {"act": act, "key": secrets.token_urlsafe(18)}
        return self.pages.render(request, "consortium_confirm.html", forms=self.forms, **values)


def _wait_of(delay_s: int) -> tuple[str, int]:
    """A span in the greatest unit of which it is several, exactly."""
    units = (("days", 86_400), ("hours", 3600), ("minutes", 60))
    fitting = ((name, delay_s // one) for name, one in units if delay_s % one == 0 and delay_s >= 2 * one)
    return next(fitting, ("seconds", delay_s))
