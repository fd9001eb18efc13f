"""Setpoints that are proposed for a machine, and what its operator answered: SETPOINTS.md."""

from __future__ import annotations

from millmark.services.setpoints.document import SetpointDocument, SetpointValue, parse_setpoint
from millmark.services.setpoints.inbox import Inbox, SetpointShown, SetpointState

__all__ = ["Inbox", "SetpointDocument", "SetpointShown", "SetpointState", "SetpointValue", "parse_setpoint"]
