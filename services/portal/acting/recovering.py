"""What a company can do against a recovery of its keys that it did not ask for."""

from __future__ import annotations

from millmark.ledger.store.rows import RecoveryRow
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.things import About, Scene

__all__ = ["RECOVERY_ACTS"]


def _is_being_recovered(scene: Scene) -> bool:
    found = scene.reader.rows.find(RecoveryRow, participant=scene.company, accepted_at=0)
    return any(not one.objected for one in found)


RECOVERY_ACTS = (Act("objectToRecovery", About.NOTHING, offered=_is_being_recovered, grave=True),)
