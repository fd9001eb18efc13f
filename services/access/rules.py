"""Permission rules: what a caller needs in order to call a route. What it then sees is decided by the queries
(ledger.provenance.permissions)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.records import ALL_ROLES, Role
from services.access.errors import ForbiddenError
from services.access.principals import Principal, Scope

__all__ = ["MAX_BODY_BYTES", "PUBLIC", "Rule"]

MAX_BODY_BYTES = 64 * 1024
"""Default limit for request bodies."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The permission rule of a route."""

    scope: Scope | None = None
    """Scope that the credential needs; None if every credential is sufficient."""
    roles: Role = ALL_ROLES
    """Roles of which the participant needs at least one."""
    owner: bool = False
    """Whether only the participant that the gateway belongs to is allowed."""
    public: bool = False
    """Whether no credential is needed. One that is sent is ignored."""
    cost: int = 1
    """Tokens taken from the caller's bucket (services.gateway.http.rate_limits); 0 for routes that must not be
    limited."""
    body_bytes: int = MAX_BODY_BYTES
    """Limit for the request body."""
    audited: bool = True
    """Whether each request is written to the audit log; False for routes that reveal nothing about anybody."""
    monitoring: bool = False
    """Whether credentials are accepted although the index is stale, because the answer says only how the gateway is."""
    page: bool = False
    """Whether it is a page of the portal: the credential is the session cookie, and refusals look like missing
    pages."""

    def verify(self, principal: Principal) -> None:
        """Checks a caller against the rule. Raises ForbiddenError, which names the missing permission."""
        if self.owner and not principal.owner:
            raise ForbiddenError("only the company that runs the gateway may do this", hint="ask its operator")
        if not self.roles & principal.roles:
            needed = ", ".join(role.name or "" for role in self.roles)
            raise ForbiddenError(f"this requires one of the roles {needed}", hint="ask the consortium's operator")
        if self.scope is not None and self.scope not in principal.scopes:
            raise ForbiddenError(f"the credential lacks the scope {self.scope}", hint="use one that has it")

    def is_met_by(self, principal: Principal) -> bool:
        try:
            self.verify(principal)
        except ForbiddenError:
            return False
        return True


PUBLIC = Rule(public=True, audited=False)
