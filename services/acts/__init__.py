"""Acts: everything that people have recorded, each declared once (services/portal/ACTING.md)."""

from __future__ import annotations

from collections.abc import Mapping

from millmark.services.acts import lots, orders, quality
from millmark.services.acts.act import HOLDERS, About, Act, Body, Command, EntryError, Field, Form, Kind, set_member

__all__ = [
    "ACTS",
    "COMMANDS",
    "FORMS",
    "HOLDERS",
    "NO_ACTS",
    "About",
    "Act",
    "Body",
    "Command",
    "EntryError",
    "Field",
    "Form",
    "Kind",
    "set_member",
]

ACTS: Mapping[str, Act] = {one.name: one for family in (orders, lots, quality) for one in family.ACTS}
"""All acts, by name."""
FORMS: Mapping[str, Form] = {form.name: form for one in ACTS.values() for form in one.forms}
COMMANDS: Mapping[str, Command] = {command.words: command for one in ACTS.values() for command in one.commands}

_BY_OPERATOR = "participants and their keys are managed by operators, on the command line"
NO_ACTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("Admit", "SetRoles", "Suspend", "Entrust", "Reinstate", "Depart", "Publish", "Close"), _BY_OPERATOR
    ),
    **dict.fromkeys(("ProposeKey", "AcceptKey", "SetKey", "RevokeKey", "SetNameKey"), _BY_OPERATOR),
    **dict.fromkeys(("TransferOwnership", "AcceptOwnership"), _BY_OPERATOR),
    **dict.fromkeys(("ProposeRecovery", "OverruleObjection", "AcceptRecovery"), _BY_OPERATOR),
}
"""Kinds of records that no act makes, and why."""
