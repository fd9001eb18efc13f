"""Who may call what: one row for each route. A route without a row is answered to nobody.

What a caller then sees is another question, and the queries answer it (ledger.provenance.permissions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.routing import compile_path

from ledger.records import Role
from services.access import ForbiddenError, Principal, Scope
from services.documents.sealed_file import MOST_DOCUMENT_BYTES

__all__ = [
    "MOST_BODY_BYTES",
    "PUBLIC",
    "RULES",
    "Rule",
    "find_rule",
    "is_audited",
    "is_page",
    "methods_of",
    "most_body_bytes",
]

MOST_BODY_BYTES = 64 * 1024
"""Of a route that does not say otherwise."""
_ANY_ROLE = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.CARRIER | Role.AUDITOR
_ACTING = _ANY_ROLE & ~Role.AUDITOR
"""Who does something to parts."""
_EPCIS_PATHS = (
    "/epcis/v2/capture",
    "/epcis/v2/capture/{id}",
    "/epcis/v2/events",
    "/epcis/v2/events/{id:path}",
    "/epcis/v2/epcs/{epc:path}/events",
    "/epcis/v2/queries",
    "/epcis/v2/queries/{name}",
    "/epcis/v2/queries/{name}/events",
)


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
    cost: int = 1
    """Tokens of the caller's bucket (services.gateway.http.rate_limits); 0 where a limit would do harm."""
    body_bytes: int = MOST_BODY_BYTES
    """Longest body that is read."""
    audited: bool = True
    """Whether the audit log has each request; not those that say nothing of anybody."""
    page: bool = False
    """Of the portal: the credential is the session's cookie, and a refusal is a page that says nothing is there."""

    def verify(self, principal: Principal) -> None:
        """Raises ForbiddenError, which names what is missing."""
        if self.owner and not principal.owner:
            raise ForbiddenError("this is for the company that runs the gateway", hint="ask its operator")
        if not self.roles & principal.roles:
            needed = ", ".join(role.name or "" for role in self.roles)
            raise ForbiddenError(f"this takes one of the roles {needed}", hint="ask the consortium's operator")
        if self.scope is not None and self.scope not in principal.scopes:
            raise ForbiddenError(f"the credential lacks the scope {self.scope}", hint="use one that has it")


PUBLIC = Rule(public=True, audited=False)
_CODED = Rule(public=True, page=True)
"""Whoever holds a part's code: the salt in it is the credential (ledger.provenance.passports). And the way in."""
_READ = Rule(Scope.PROVENANCE)
_LIST = Rule(Scope.PROVENANCE, cost=4)
_PROOF = Rule(Scope.PROVENANCE, cost=4)
_MEMBER = Rule(Scope.PROVENANCE, page=True)
_MEMBER_PATHS = (
    "", "/orders", "/orders/{subject}", "/lots", "/lots/{subject}", "/quarantine", "/machines", "/machines/{number}",
    "/models",
)  # fmt: skip

_HOLDER = _ANY_ROLE & ~Role.AUDITOR
_BUYER, _COORDINATOR, _MAKER, _INSPECTOR = Role.BUYER, Role.COORDINATOR, Role.MANUFACTURER, Role.INSPECTOR


def _record(roles: Role, body_bytes: int = MOST_BODY_BYTES) -> Rule:
    """In the name of the company that runs the gateway; roles as the contract asks for."""
    return Rule(Scope.RECORDING, roles, owner=True, cost=4, body_bytes=body_bytes)


_RECORDING = {
    "/v1/orders": _record(_BUYER),
    "/v1/orders/{subject}/accept": _record(_COORDINATOR),
    "/v1/orders/{subject}/reject": _record(_COORDINATOR),
    "/v1/orders/{subject}/cancel": _record(_BUYER | _COORDINATOR),
    "/v1/orders/{subject}/revisions": _record(_BUYER | _COORDINATOR),
    "/v1/orders/{subject}/revisions/{id}/accept": _record(_BUYER | _COORDINATOR),
    "/v1/orders/{subject}/complete": _record(_COORDINATOR),
    "/v1/orders/{subject}/confirm-delivery": _record(_BUYER),
    "/v1/assignments": _record(_COORDINATOR),
    "/v1/assignments/{id}/accept": _record(_MAKER),
    "/v1/assignments/{id}/decline": _record(_MAKER),
    "/v1/assignments/{id}/start": _record(_MAKER),
    "/v1/assignments/{id}/finish": _record(_MAKER),
    "/v1/assignments/{id}/cancel": _record(_COORDINATOR),
    "/v1/lots/commission": _record(_MAKER),
    "/v1/lots/receive": _record(_HOLDER),
    "/v1/lots/transform": _record(_HOLDER),
    "/v1/lots/{subject}/scrap": _record(_HOLDER),
    "/v1/lots/{subject}/pack": _record(_HOLDER),
    "/v1/lots/{subject}/unpack": _record(_HOLDER),
    "/v1/lots/{subject}/quarantine": _record(_HOLDER),
    "/v1/lots/{subject}/release": _record(_HOLDER),
    "/v1/lots/{subject}/custody/decline": _record(_HOLDER),
    "/v1/lots/{subject}/custody/withdraw": _record(_HOLDER),
    "/v1/custody/offer": _record(_HOLDER),
    "/v1/custody/accept": _record(_HOLDER),
    "/v1/certificates": _record(_INSPECTOR),
    "/v1/certificates/{id}/revoke": _record(_INSPECTOR),
    "/v1/certificates/{id}/demand-opening": _record(_BUYER | Role.AUDITOR),
    "/v1/streams": _record(_MAKER | _INSPECTOR),
    "/v1/streams/{subject}/anchors": _record(_MAKER | _INSPECTOR),
    "/v1/machines": _record(_MAKER | _INSPECTOR),
    "/v1/machines/{id}/retire": _record(_MAKER | _INSPECTOR),
    "/v1/models": _record(_INSPECTOR),
    "/v1/models/publish": _record(_INSPECTOR, 128 * 1024),
    "/v1/models/{id}/approve": _record(Role.AUDITOR),
    "/v1/models/{id}/withdraw": _record(_INSPECTOR | Role.AUDITOR),
    "/v1/supersessions": _record(_ANY_ROLE),
}

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/health"): Rule(public=True, cost=0, audited=False),
    ("GET", "/docs"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/.well-known/gs1resolver"): PUBLIC,
    ("GET", "/"): _CODED,
    ("GET", "/portal/sign-in"): _CODED,
    ("POST", "/portal/sign-in"): _CODED,
    ("POST", "/portal/sign-out"): Rule(page=True),
    **{("GET", f"/portal{path}"): _MEMBER for path in _MEMBER_PATHS},
    ("GET", "/portal/recall"): Rule(Scope.PROVENANCE, _ANY_ROLE & ~Role.CARRIER, page=True, cost=4),
    ("GET", "/portal/recall.csv"): Rule(Scope.PROVENANCE, _ANY_ROLE & ~Role.CARRIER, page=True, cost=4),
    ("GET", "/portal/queues"): Rule(Scope.STATUS, owner=True, page=True),
    ("GET", "/portal/status"): Rule(Scope.STATUS, owner=True, page=True),
    ("GET", "/{key:int}/{rest:path}"): _CODED,
    ("GET", "/passport/{what}/{key:int}/{rest:path}"): _CODED,
    ("GET", "/portal/visible"): Rule(public=True, page=True),
    ("GET", "/portal/assets/{tag}/{name}"): Rule(public=True, page=True, cost=0, audited=False),
    ("GET", "/v1/sign-in"): PUBLIC,
    ("POST", "/v1/sessions"): Rule(public=True),
    ("GET", "/v1/session"): Rule(),
    ("DELETE", "/v1/session"): Rule(),
    ("GET", "/v1/trace/{identifier:path}"): Rule(Scope.PROVENANCE),
    ("GET", "/v1/recall"): Rule(Scope.PROVENANCE, _ANY_ROLE & ~Role.CARRIER, cost=10),
    ("GET", "/v1/participants"): _LIST,
    ("GET", "/v1/participants/{number}"): _READ,
    ("GET", "/v1/models"): _LIST,
    ("GET", "/v1/models/{id}"): _READ,
    ("GET", "/v1/machines"): _LIST,
    ("GET", "/v1/machines/{id}"): _READ,
    ("GET", "/v1/orders"): _LIST,
    ("GET", "/v1/orders/{subject}"): _READ,
    ("GET", "/v1/assignments"): _LIST,
    ("GET", "/v1/assignments/{id}"): _READ,
    ("GET", "/v1/assignments/{id}/evidence"): _PROOF,
    ("GET", "/v1/lots"): _LIST,
    ("GET", "/v1/lots/{subject}"): _READ,
    ("GET", "/v1/lots/{subject}/custody"): _LIST,
    ("GET", "/v1/certificates"): _LIST,
    ("GET", "/v1/certificates/{id}"): _READ,
    ("GET", "/v1/certificates/{id}/evidence"): _PROOF,
    ("GET", "/v1/streams/{subject}"): _READ,
    ("GET", "/v1/streams/{subject}/inclusion"): _PROOF,
    ("GET", "/v1/streams/{subject}/consistency"): _PROOF,
    ("GET", "/v1/bundles"): Rule(Scope.PROVENANCE, cost=20),
    ("GET", "/v1/trust"): _PROOF,
    ("GET", "/v1/contexts"): PUBLIC,
    ("GET", "/v1/contexts/{name}"): PUBLIC,
    ("GET", "/v1/application-identifiers"): PUBLIC,
    ("GET", "/.well-known/did.json"): PUBLIC,
    ("GET", "/v1/status-lists/{number}"): Rule(public=True, audited=False),
    ("GET", "/v1/certificates/{id}/credential"): _READ,
    ("GET", "/v1/certificates/{id}/inspection-document"): _READ,
    **{("POST", path): rule for path, rule in _RECORDING.items()},
    ("GET", "/v1/records"): Rule(Scope.RECORDING, owner=True, cost=4),
    ("GET", "/v1/records/{id}"): Rule(Scope.RECORDING, owner=True),
    ("GET", "/v1/status"): Rule(Scope.STATUS, owner=True),
    ("GET", "/v1/events"): Rule(Scope.EVENTS, cost=2),
    ("GET", "/v1/webhooks"): Rule(Scope.EVENTS),
    ("POST", "/v1/webhooks"): Rule(Scope.EVENTS),
    ("GET", "/v1/webhooks/{id}"): Rule(Scope.EVENTS),
    ("DELETE", "/v1/webhooks/{id}"): Rule(Scope.EVENTS),
    ("POST", "/v1/webhooks/{id}/resume"): Rule(Scope.EVENTS),
    ("POST", "/v1/webhooks/{id}/secret"): Rule(Scope.EVENTS),
    ("POST", "/v1/relay"): Rule(Scope.RELAY, cost=4),
    ("GET", "/v1/relay/{digest}"): Rule(Scope.RELAY),
    ("GET", "/v1/relay/keys/{address}"): Rule(Scope.RELAY),
    ("POST", "/v1/relay/simulations"): Rule(Scope.RELAY, cost=4),
    **{("OPTIONS", path): PUBLIC for path in _EPCIS_PATHS},
    ("POST", "/epcis/v2/capture"): Rule(Scope.CAPTURE, _ACTING, cost=4, body_bytes=4 << 20),
    ("GET", "/epcis/v2/capture"): Rule(Scope.CAPTURE, _ACTING),
    ("GET", "/epcis/v2/capture/{id}"): Rule(Scope.CAPTURE, _ACTING),
    ("POST", "/epcis/v2/events"): Rule(Scope.CAPTURE, _ACTING),
    ("GET", "/epcis/v2/events"): Rule(Scope.PROVENANCE, cost=4),
    ("GET", "/epcis/v2/events/{id:path}"): Rule(Scope.PROVENANCE),
    ("GET", "/epcis/v2/epcs/{epc:path}/events"): Rule(Scope.PROVENANCE, cost=4),
    ("POST", "/epcis/v2/queries"): Rule(Scope.PROVENANCE, cost=4),
    ("GET", "/epcis/v2/queries"): Rule(Scope.PROVENANCE),
    ("GET", "/epcis/v2/queries/{name}"): Rule(Scope.PROVENANCE),
    ("DELETE", "/epcis/v2/queries/{name}"): Rule(Scope.PROVENANCE),
    ("GET", "/epcis/v2/queries/{name}/events"): Rule(Scope.PROVENANCE, cost=4),
    ("GET", "/v1/documents"): Rule(Scope.DOCUMENTS),
    ("POST", "/v1/documents"): Rule(Scope.SHARING, owner=True, body_bytes=MOST_DOCUMENT_BYTES, cost=10),
    ("GET", "/v1/documents/{id}"): Rule(Scope.DOCUMENTS),
    ("PATCH", "/v1/documents/{id}"): Rule(Scope.SHARING, owner=True),
    ("DELETE", "/v1/documents/{id}"): Rule(Scope.SHARING, owner=True, cost=50),
    ("POST", "/v1/documents/{id}/versions"): Rule(Scope.SHARING, owner=True, body_bytes=MOST_DOCUMENT_BYTES, cost=10),
    ("GET", "/v1/documents/{id}/versions/{version}"): Rule(Scope.DOCUMENTS, cost=5),
    ("PUT", "/v1/documents/{id}/grants/{participant}"): Rule(Scope.SHARING, owner=True),
    ("DELETE", "/v1/documents/{id}/grants/{participant}"): Rule(Scope.SHARING, owner=True),
    ("PUT", "/v1/recipient-key"): Rule(Scope.DOCUMENTS),
    ("GET", "/v1/recipient-keys/{participant}"): Rule(Scope.DOCUMENTS),
}
"""By method and path as the router has it; HEAD is as GET."""


def find_rule(method: str, path: str) -> Rule:
    """Raises ForbiddenError for a route that has no row."""
    rule = RULES.get((method, path))
    if rule is None:
        raise ForbiddenError("nobody may do this", hint="")
    return rule


def most_body_bytes(method: str, path: str) -> int:
    """Longest body that a request may have, before it is known which route it takes."""
    fits = (most for verb, pattern, most in _LONG_BODIES if verb == method and pattern.fullmatch(path))
    return next(fits, MOST_BODY_BYTES)


def is_audited(method: str, path: str) -> bool:
    """Also what has no row: it is denied."""
    rule = RULES.get((method, path))
    return rule is None or rule.audited


def is_page(method: str, path: str) -> bool:
    """Whether a browser is to be answered."""
    rule = RULES.get((method, path))
    return rule is not None and rule.page


def methods_of(path: str) -> str:
    """What a path takes, as the Allow header says it."""
    taken = {method for method, known in RULES if known == path}
    return ", ".join(sorted({*taken, "OPTIONS", *(["HEAD"] if "GET" in taken else [])}))


_LONG_BODIES: list[tuple[str, re.Pattern[str], int]] = [
    (method, compile_path(path)[0], rule.body_bytes)
    for (method, path), rule in RULES.items()
    if rule.body_bytes != MOST_BODY_BYTES
]
