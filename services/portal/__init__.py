"""The portal: passports behind the codes on parts, and pages for participants. All HTML is rendered by the server.

    Portal(store, origin, Proofs(store, chain, folder), ...).routes

PASSPORT.md specifies what a passport shows, and from which sources.
"""

from __future__ import annotations

from millmark.services.portal.administration import AdministrationParts
from millmark.services.portal.portal import CompanyServices, Portal
from millmark.services.portal.proofs import PASSPORTS, Proofs

__all__ = ["PASSPORTS", "AdministrationParts", "CompanyServices", "Portal", "Proofs"]
