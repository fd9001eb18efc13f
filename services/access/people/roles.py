"""What a person may do at the gateway of their company."""

from __future__ import annotations

import enum
from typing import Self

from millmark.services.access.principals import Scope

_READER = frozenset({Scope.PROVENANCE, Scope.DOCUMENTS, Scope.STATUS})
_RECORDER = _READER | {Scope.RECORDING, Scope.CAPTURE, Scope.DOCUMENT_CHANGES, Scope.EVENTS}
_ADMINISTRATOR = _RECORDER | {Scope.RELAY, Scope.PEOPLE}


class PersonRole(enum.StrEnum):
    """The role of a person: word, `scopes`. Each may do what those before it may."""

    scopes: frozenset[Scope]
    """What a person with this role may do. Written out: nobody has a scope that is added until it stands here."""

    def __new__(cls, word: str, scopes: frozenset[Scope] | None = None) -> Self:
        if scopes is None:
            raise TypeError(f"the role {word} does not state its scopes")
        role = str.__new__(cls, word)
        role._value_, role.scopes = word, scopes
        return role

    READER = "reader", _READER
    RECORDER = "recorder", _RECORDER
    ADMINISTRATOR = "administrator", _ADMINISTRATOR
    """Its scopes are also those of the company's own key, of its home's commands, and of the operator."""
