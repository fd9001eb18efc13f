"""Who may call what: one row for each route. A route without a row is answered to nobody.

What a caller then sees is another question, and the queries answer it (ledger.provenance.viewing).
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.records import Role
from services.access import ForbiddenError, Principal, Scope

__all__ = ["PUBLIC", "RULES", "Rule", "find_rule", "methods_of"]

_ANY_ROLE = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.CARRIER | Role.AUDITOR


@dataclass(frozen=True, slots=True)
class Rule:
    """What a caller needs."""

    scope: Scope | None = None
    """Of the credential; None where every credential will do."""
    roles: Role = _ANY_ROLE
    """One of these."""
    owner: bool = False
    """Only the participant that the gateway belongs to."""
    public: bool = False
    """No credential at all; one that is shown is not even looked at."""

    def verify(self, principal: Principal) -> None:
        """Raises ForbiddenError, which names what is missing."""
        if self.owner and not principal.owner:
            raise ForbiddenError("this is for the company that runs the gateway", mend="ask its operator")
        if not self.roles & principal.roles:
            needed = ", ".join(role.name or "" for role in self.roles)
            raise ForbiddenError(f"this takes one of the roles {needed}", mend="ask the consortium's operator")
        if self.scope is not None and self.scope not in principal.scopes:
            raise ForbiddenError(f"the credential lacks the scope {self.scope}", mend="use one that has it")


PUBLIC = Rule(public=True)

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/health"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/v1/sign-in"): PUBLIC,
    ("POST", "/v1/sessions"): PUBLIC,
    ("GET", "/v1/session"): Rule(),
    ("DELETE", "/v1/session"): Rule(),
    ("GET", "/v1/trace/{identifier:path}"): Rule(Scope.PROVENANCE),
    ("GET", "/v1/certificates/{id}"): Rule(Scope.PROVENANCE),
    ("GET", "/v1/recall"): Rule(Scope.PROVENANCE, _ANY_ROLE & ~Role.CARRIER),
    ("GET", "/v1/status"): Rule(Scope.STATUS, owner=True),
}
"""By method and path as the router has it; HEAD is as GET."""


def find_rule(method: str, path: str) -> Rule:
    """Raises ForbiddenError for a route that has no row."""
    rule = RULES.get((method, path))
    if rule is None:
        raise ForbiddenError("nobody may do this", mend="")
    return rule


def methods_of(path: str) -> str:
    """What a path takes, as the Allow header says it."""
    taken = {method for method, known in RULES if known == path}
    return ", ".join(sorted({*taken, "OPTIONS", *(["HEAD"] if "GET" in taken else [])}))
