"""Kinds of records that the API has no route for, and why."""

from __future__ import annotations

from millmark.ledger.records import (
    AcceptKey,
    AcceptOwnership,
    AcceptRecovery,
    Admit,
    Close,
    Depart,
    Entrust,
    OverruleObjection,
    ProposeKey,
    ProposeRecovery,
    Publish,
    Record,
    Reinstate,
    RevokeKey,
    SetKey,
    SetNameKey,
    SetRoles,
    Suspend,
    TransferOwnership,
)

__all__ = ["LEFT_OUT"]

_BY_OPERATOR = "participants and their keys are managed by operators, on the command line"
LEFT_OUT: dict[type[Record], str] = {
    **dict.fromkeys((Admit, SetRoles, Suspend, Entrust, Reinstate, Depart, Publish, Close), _BY_OPERATOR),
    **dict.fromkeys((ProposeKey, AcceptKey, SetKey, RevokeKey, SetNameKey), _BY_OPERATOR),
    **dict.fromkeys((TransferOwnership, AcceptOwnership), _BY_OPERATOR),
    **dict.fromkeys((ProposeRecovery, OverruleObjection, AcceptRecovery), _BY_OPERATOR),
}
"""Kinds of records without a route, and why."""
