"""What a person may do at the gateway of their company."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from millmark.services.access.principals import ALL_SCOPES, Scope

__all__ = ["SCOPES", "PersonRole"]


class PersonRole(enum.StrEnum):
    """The role of a person. Each may do what those before it may."""

    READER = "reader"
    RECORDER = "recorder"
    ADMINISTRATOR = "administrator"


_READING = frozenset({Scope.PROVENANCE, Scope.DOCUMENTS, Scope.STATUS})
SCOPES: Mapping[PersonRole, frozenset[Scope]] = {
    PersonRole.READER: _READING,
    PersonRole.RECORDER: _READING | {Scope.RECORDING, Scope.CAPTURE, Scope.DOCUMENT_CHANGES, Scope.EVENTS},
    PersonRole.ADMINISTRATOR: ALL_SCOPES,
}
