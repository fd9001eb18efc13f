"""All acts of the portal."""

from __future__ import annotations

from millmark.services.portal.acting.acts import Acts
from millmark.services.portal.acting.assignments import ASSIGNMENT_ACTS
from millmark.services.portal.acting.conversions import CONVERSION_ACTS
from millmark.services.portal.acting.lots import LOT_ACTS
from millmark.services.portal.acting.notes import NOTE_ACTS
from millmark.services.portal.acting.orders import ORDER_ACTS
from millmark.services.portal.acting.quality import QUALITY_ACTS
from millmark.services.portal.acting.recovering import RECOVERY_ACTS
from millmark.services.portal.acting.setpoints import SETPOINT_ACTS

__all__ = ["ACTS"]

ACTS = Acts(
    (
        *ORDER_ACTS,
        *ASSIGNMENT_ACTS,
        *LOT_ACTS,
        *CONVERSION_ACTS,
        *QUALITY_ACTS,
        *NOTE_ACTS,
        *SETPOINT_ACTS,
        *RECOVERY_ACTS,
    )
)
