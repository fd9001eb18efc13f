"""Who may do what: the authenticated caller with the scopes of its credential, the roles of people, and the rules of
routes. What a caller then sees is decided by the queries (millmark.ledger.provenance.permissions)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from millmark.ledger.records import Role
from millmark.services.access.errors import ForbiddenError

OPERATOR = 0
"""Stands for the consortium's operator, which is not a participant, where the gateway is its own."""


class Scope(enum.StrEnum):
    """What a credential may be used for. API keys have those that they were made with; a person has those of their
    role, and nobody has a scope that no role states (millmark.services.access.rules)."""

    PROVENANCE = "provenance"
    """Reading traces, recalls, proofs, orders, lots, certificates and other records."""
    DOCUMENTS = "documents"
    """Reading documents, and publishing one's recipient key."""
    DOCUMENT_CHANGES = "document-changes"
    """Adding documents, granting and revoking access, and erasing."""
    RECORDING = "recording"
    """Recording for the company that runs the gateway."""
    CAPTURE = "capture"
    """Capturing EPCIS events, and reading one's capture jobs."""
    EVENTS = "events"
    """Receiving records as events or webhooks."""
    RELAY = "relay"
    """Having the gateway send requests that the participant's keys signed."""
    STATUS = "status"
    """Reading the gateway's status."""
    PEOPLE = "people"
    """Inviting and removing people of the company that runs the gateway."""


EXAMINERS = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.AUDITOR
"""Roles that look into the quality of parts: they see what is to be inspected and what a bad part affected."""
ANY_ROLE = EXAMINERS | Role.CARRIER
"""The roles of which each is enough where a rule asks for none in particular. Written out, not taken from the registry
(millmark.ledger.records.ALL_ROLES): the gateway refuses a role that the contracts add until it is decided about
here."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request: a participant with a credential, the operator, or anonymous."""

    participant: int | None
    """None without a credential, and for people of the consortium's operator."""
    roles: int
    """Bit mask as in the registry (millmark.ledger.records.Role)."""
    scopes: frozenset[Scope]
    credential: str
    """Public part of the credential; empty without one."""
    owner: bool
    """Whether the gateway belongs to the caller, who then sees everything in its index and book."""
    expires_at: int
    """Expiry of the credential, in seconds since 1970; 0 without one."""
    person: int = 0
    """Number of the person of the company who signed in; 0 for a company's key, an API key and the operator."""
    name: str = ""
    """Name of that person."""

    @property
    def acting(self) -> str:
        """What the audit log says of who acts: the credential's public part, and the person's number."""
        return f"{self.credential}/person-{self.person}" if self.person else self.credential

    @property
    def manufactures(self) -> bool:
        return bool(self.roles & Role.MANUFACTURER)

    @property
    def viewer(self) -> int | None:
        """The participant whose visibility applies; None sees everything."""
        return None if self.owner else self.participant


_READER = frozenset({Scope.PROVENANCE, Scope.DOCUMENTS, Scope.STATUS})
_RECORDER = _READER | {Scope.RECORDING, Scope.CAPTURE, Scope.DOCUMENT_CHANGES, Scope.EVENTS}
_ADMINISTRATOR = _RECORDER | {Scope.RELAY, Scope.PEOPLE}


class PersonRole(enum.StrEnum):
    """The role of a person: word, `scopes`. Each may do what those before it may."""

    scopes: frozenset[Scope]
    """What a person with this role may do. Written out: nobody has a scope that is added until it stands here."""

    def __new__(cls, word: str, scopes: frozenset[Scope] | None = None) -> Self:
        if scopes is None:
            raise TypeError(f"the role {word} does not state its scopes")
        role = str.__new__(cls, word)
        role._value_, role.scopes = word, scopes
        return role

    READER = "reader", _READER
    RECORDER = "recorder", _RECORDER
    ADMINISTRATOR = "administrator", _ADMINISTRATOR
    """Its scopes are also those of the company's own key, of its home's commands, and of the operator."""


MAX_BODY_BYTES = 64 * 1024
"""Default limit for request bodies."""
DEPTH_PER_TOKEN, LOTS_PER_TOKEN = 64, 1000
"""How many more steps or lots a costly request may ask for at the price of one token."""
_MAX_DIGITS = 6


class Without(enum.Enum):
    """What a route does without."""

    SCOPE = "scope"
    """Every credential is sufficient."""
    CREDENTIAL = "credential"
    """Anybody is allowed. A credential that is sent is ignored."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The permission rule of a route. It cannot be made without saying what the caller's credential has to be."""

    scope: Scope | Without
    """Scope that the credential needs."""
    roles: Role = ANY_ROLE
    """Roles of which the participant needs at least one."""
    owner: bool = False
    """Whether only the participant that the gateway belongs to is allowed."""
    cost: int = 1
    """Tokens taken from the caller's bucket (millmark.services.gateway.http.authentication); 0 for routes that must not
    be limited."""
    limits: tuple[int, int] | None = None
    """Defaults of the query parameters `depth` and `lots`, for a costly route. Its cost grows with them, and requests
    to it take turns (millmark.services.gateway.http.authentication)."""
    by_name: bool = False
    """Whether requests name things by identifier and are answered with 200 if there are none. The response then does
    not tell by its time whether there are some that the caller must not see."""
    body_bytes: int = MAX_BODY_BYTES
    """Limit for the request body."""
    audited: bool = True
    """Whether each request is written to the audit log; False for routes that reveal nothing about anybody."""
    monitoring: bool = False
    """Whether credentials are accepted although the index is stale, because the answer says only how the gateway is."""
    passive: bool = False
    """Whether programs ask by themselves, as an open page does: a person's session does not last longer for it."""
    page: bool = False
    """Whether it is a page of the portal: the credential is the session cookie, and refusals look like missing
    pages."""

    @property
    def public(self) -> bool:
        """Whether no credential is needed."""
        return self.scope is Without.CREDENTIAL

    def cost_of(self, query: Mapping[str, str]) -> int:
        """The cost of one request, by its query parameters."""
        if self.limits is None:
            return self.cost
        depth, lots = (
            _number(query.get(name), default) for name, default in zip(("depth", "lots"), self.limits, strict=True)
        )
        return self.cost + (max(depth, 1) - 1) // DEPTH_PER_TOKEN + (max(lots, 1) - 1) // LOTS_PER_TOKEN

    def verify(self, principal: Principal) -> None:
        """Checks a caller against the rule. Raises ForbiddenError, which names the missing permission."""
        if self.public:
            return
        if self.owner and not principal.owner:
            raise ForbiddenError("only the company that runs the gateway may do this", hint="ask its operator")
        if not self.roles & principal.roles:
            needed = ", ".join(role.name or "" for role in self.roles)
            raise ForbiddenError(f"this requires one of the roles {needed}", hint="ask the consortium's operator")
        if self.scope is not Without.SCOPE and self.scope not in principal.scopes:
            raise ForbiddenError(f"the credential lacks the scope {self.scope}", hint="use one that has it")

    def is_met_by(self, principal: Principal) -> bool:
        try:
            self.verify(principal)
        except ForbiddenError:
            return False
        return True


def _number(text: str | None, default: int) -> int:
    """What a query parameter says; the default for one that is absent or will be refused."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else default


PUBLIC = Rule(Without.CREDENTIAL, audited=False)
