"""The portal's routes, and who may see each page: written out by hand, not derived from the rules."""

from __future__ import annotations

ROLES = frozenset({"BUYER", "COORDINATOR", "MANUFACTURER", "INSPECTOR", "CARRIER", "AUDITOR"})
OWNER = frozenset({"owner"})
MEMBERS = ROLES | OWNER
ANYBODY: frozenset[str] | None = None
"""Visible without a session."""
PAGES: dict[tuple[str, str], frozenset[str] | None] = {
    ("GET", "/.well-known/gs1resolver"): ANYBODY,
    ("GET", "/{key:gs1key}/{rest:path}"): ANYBODY,
    ("GET", "/passport/{what}/{key:gs1key}/{rest:path}"): ANYBODY,
    ("GET", "/portal/assets/{tag}/{name}"): ANYBODY,
    ("GET", "/check"): ANYBODY,
    ("GET", "/check/{name:path}"): ANYBODY,
    ("GET", "/portal/visible"): ANYBODY,
    ("GET", "/"): ANYBODY,
    ("GET", "/portal/sign-in"): ANYBODY,
    ("POST", "/portal/sign-in"): ANYBODY,
    ("POST", "/portal/sign-in/passkey"): ANYBODY,
    ("GET", "/portal/sign-in/account"): ANYBODY,
    ("POST", "/portal/sign-in/account"): ANYBODY,
    ("GET", "/portal/invitation"): ANYBODY,
    ("POST", "/portal/invitation"): ANYBODY,
    ("POST", "/portal/invitation/passkey"): ANYBODY,
    ("GET", "/portal/account"): OWNER,
    ("POST", "/portal/account/passkey"): OWNER,
    ("POST", "/portal/account/passkey/remove"): OWNER,
    ("GET", "/portal/people"): OWNER,
    ("POST", "/portal/people"): OWNER,
    ("POST", "/portal/people/change"): OWNER,
    ("POST", "/portal/people/remove"): OWNER,
    ("POST", "/portal/people/withdraw"): OWNER,
    ("POST", "/portal/sign-out"): MEMBERS,
    ("GET", "/portal"): MEMBERS,
    ("GET", "/portal/search"): MEMBERS,
    ("GET", "/portal/act/{name}"): OWNER,
    ("POST", "/portal/act/{name}"): OWNER,
    ("POST", "/portal/act/{name}/confirm"): OWNER,
    ("GET", "/portal/records/{number}"): OWNER,
    ("GET", "/portal/orders"): MEMBERS,
    ("GET", "/portal/orders/{subject}"): MEMBERS,
    ("GET", "/portal/lots"): MEMBERS,
    ("GET", "/portal/lots/{subject}"): MEMBERS,
    ("GET", "/portal/quarantine"): MEMBERS,
    ("GET", "/portal/machines"): MEMBERS,
    ("GET", "/portal/machines/{number}"): MEMBERS,
    ("GET", "/portal/models"): MEMBERS,
    ("GET", "/portal/models/{number}"): MEMBERS,
    ("GET", "/portal/inspections"): MEMBERS - {"CARRIER"},
    ("GET", "/portal/inspections/{number}"): OWNER,
    ("GET", "/portal/recall"): MEMBERS - {"CARRIER"},
    ("GET", "/portal/recall.csv"): MEMBERS - {"CARRIER"},
    ("GET", "/portal/plans"): OWNER,
    ("GET", "/portal/plans/{digest}"): OWNER,
    ("GET", "/portal/queues"): OWNER,
    ("GET", "/portal/status"): OWNER,
}
