"""Authentication and authorization: sign-in with a participant's key, sessions, API keys for machines.

    message = SignIn(store, "https://gateway.example").new_message(address, now_s)

Nothing in this package depends on HTTP. What a principal may see is decided by the queries
(millmark.ledger.provenance), what it may call by the rule of each route (millmark.services.access.rules).
"""

from __future__ import annotations

from millmark.services.access.credentials import (
    CredentialKind,
    authenticate,
    build_refusal,
    find_api_key,
    new_api_key,
    revoke,
)
from millmark.services.access.errors import AccessError, ForbiddenError, SignInError, UnauthenticatedError
from millmark.services.access.rules import ANY_ROLE, EXAMINERS, OPERATOR, Principal, Scope
from millmark.services.access.signin import Session, SignIn

__all__ = [
    "ANY_ROLE",
    "EXAMINERS",
    "OPERATOR",
    "AccessError",
    "CredentialKind",
    "ForbiddenError",
    "Principal",
    "Scope",
    "Session",
    "SignIn",
    "SignInError",
    "UnauthenticatedError",
    "authenticate",
    "build_refusal",
    "find_api_key",
    "new_api_key",
    "revoke",
]
