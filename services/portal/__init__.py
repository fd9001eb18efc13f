"""The portal: passports behind the codes on parts, and pages for participants. Plain HTML, made here, without script.

    Portal(store, origin, Proofs(store, chain, folder), ...).routes

PASSPORT.md says what a passport shows and where it comes from.
"""

from __future__ import annotations

from services.portal.portal import Portal
from services.portal.proofs import PASSPORTS, Proofs

__all__ = ["PASSPORTS", "Portal", "Proofs"]
