"""Permission rules: what a caller needs in order to call a route. What it then sees is decided by the queries
(millmark.ledger.provenance.permissions)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.records import Role
from millmark.services.access.errors import ForbiddenError
from millmark.services.access.principals import ANY_ROLE, Principal, Scope

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
