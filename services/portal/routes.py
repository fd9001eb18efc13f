"""A page of the portal as one row: where it is, who may see it, and its place in the menu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.access import Scope
from services.access.rules import Rule

__all__ = ["ANYBODY", "CODE_HOLDERS", "MEMBERS", "OWNER", "PageRoute"]

ANYBODY = Rule(public=True, page=True)
CODE_HOLDERS = ANYBODY
"""Those who hold a part's code: the salt in it is the credential (ledger.provenance.passports)."""
MEMBERS = Rule(Scope.PROVENANCE, page=True)
OWNER = Rule(Scope.STATUS, owner=True, page=True)


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One row."""

    path: str
    endpoint: Callable[..., Any]
    rule: Rule
    menu: str | None = None
    """Name of its entry in the menu, under which the catalogue has its words; None for a page that has none."""
    method: str = "GET"
