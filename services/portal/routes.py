"""Declares a page of the portal: its path, who may see it, and its menu entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path

from millmark.ledger.records import ALL_ROLES, Role
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule, Without
from millmark.services.serving.parameters import WholeNumber

__all__ = ["ADMINISTRATORS", "ANYBODY", "CODE_HOLDERS", "MEMBERS", "OWNER", "Number", "PageRoute"]

ANYBODY = Rule(Without.CREDENTIAL, page=True)
CODE_HOLDERS = ANYBODY
"""Holders of a part's code. The salt in it is the credential (millmark.ledger.provenance.passports)."""
MEMBERS = Rule(Scope.PROVENANCE, page=True)
OWNER = Rule(Scope.STATUS, owner=True, page=True)

ADMINISTRATORS = Rule(Scope.PEOPLE, owner=True, page=True)
Number = Annotated[WholeNumber, Path(ge=1, lt=2**40)]
"""The number of a record in a path. Others have the page of what does not exist."""


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page of the portal."""

    path: str
    endpoint: Callable[..., Any]
    rule: Rule
    menu: str | None = None
    """Catalogue key of its menu entry; None for a page that is not in the menu."""
    method: str = "GET"
    folded: bool = False
    """Whether its menu entry is among those that the menu folds away."""
    used_by: Role = ALL_ROLES
    """Companies with other roles alone have little use for it: for them, its entry is folded away, too."""
    of_company: bool = False
    """Whether it does not exist where the gateway acts for no company, as the consortium operator's own."""
    live: bool = True
    """Whether the page follows records, for those who signed in. Not where it would change what somebody is about to
    confirm."""

    def is_folded_for(self, principal: Principal) -> bool:
        """Whether the menu folds its entry away. Who has no role in the registry may see everything at once."""
        return self.folded or bool(principal.roles and not principal.roles & self.used_by)

    @property
    def follows(self) -> bool:
        return self.live and self.method == "GET" and not self.rule.public
