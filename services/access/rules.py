"""What a caller needs in order to call one route. What the caller then sees is decided by the queries
(ledger.provenance.permissions)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.records import ALL_ROLES, Role
from services.access.errors import ForbiddenError
from services.access.principals import Principal, Scope

__all__ = ["MOST_BODY_BYTES", "PUBLIC", "Rule"]

MOST_BODY_BYTES = 64 * 1024
"""Longest body of a route that does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a caller needs."""

    scope: Scope | None = None
    """Scope of the credential; None where any credential will do."""
    roles: Role = ALL_ROLES
    """The participant needs one of these."""
    owner: bool = False
    """Only the participant that the gateway belongs to."""
    public: bool = False
    """No credential is needed; one that is shown is not even looked at."""
    cost: int = 1
    """Tokens taken from the caller's bucket (services.gateway.http.rate_limits); 0 where a limit would do harm."""
    body_bytes: int = MOST_BODY_BYTES
    """Longest body that is read."""
    audited: bool = True
    """Whether each request goes into the audit log; False for routes that say nothing about anybody."""
    page: bool = False
    """A page of the portal: the credential is the session cookie, and a refusal says that nothing is there."""

    def verify(self, principal: Principal) -> None:
        """Raises ForbiddenError, which names what is missing."""
        if self.owner and not principal.owner:
            raise ForbiddenError("this is for the company that runs the gateway", hint="ask its operator")
        if not self.roles & principal.roles:
            needed = ", ".join(role.name or "" for role in self.roles)
            raise ForbiddenError(f"this takes one of the roles {needed}", hint="ask the consortium's operator")
        if self.scope is not None and self.scope not in principal.scopes:
            raise ForbiddenError(f"the credential lacks the scope {self.scope}", hint="use one that has it")

    def is_met_by(self, principal: Principal) -> bool:
        try:
            self.verify(principal)
        except ForbiddenError:
            return False
        return True


PUBLIC = Rule(public=True, audited=False)
