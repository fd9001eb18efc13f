"""Declares a page of the portal: its path, who may see it, and its menu entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.access import Scope
from services.access.rules import Rule

__all__ = ["ANYBODY", "CODE_HOLDERS", "MEMBERS", "OWNER", "PageRoute"]

ANYBODY = Rule(public=True, page=True)
CODE_HOLDERS = ANYBODY
"""Holders of a part's code. The salt in it is the credential (ledger.provenance.passports)."""
MEMBERS = Rule(Scope.PROVENANCE, page=True)
OWNER = Rule(Scope.STATUS, owner=True, page=True)


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page of the portal."""

    path: str
    endpoint: Callable[..., Any]
    rule: Rule
    menu: str | None = None
    """Catalogue key of its menu entry; None for a page that is not in the menu."""
    method: str = "GET"
