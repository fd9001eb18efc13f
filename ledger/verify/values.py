"""The kinds of value that a statement has, besides numbers, bytes, times, enumerations and tuples of these."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import Json, to_hex

__all__ = ["Age", "Fields", "Model", "NamedMachine", "Party", "Span", "Thing", "Unit"]


@dataclass(frozen=True, slots=True)
class Party:
    """A participant, with its name in the trust file."""

    participant: int
    name: str | None
    """None if the trust file does not have its name. Participant 0 is the registry's owner."""

    def __str__(self) -> str:
        return f"participant {self.participant} (not in the trust file)" if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class Thing:
    """An order or a lot."""

    subject: bytes
    identifier: str | None
    """None if the bundle does not disclose it."""

    def __str__(self) -> str:
        return self.identifier or to_hex(self.subject)


@dataclass(frozen=True, slots=True)
class NamedMachine:
    machine: int
    identifier: str | None
    """None if the bundle does not disclose it."""


@dataclass(frozen=True, slots=True)
class Model:
    """How a certificate came about: by inference on a model, or by procedure."""

    model: int
    """0 if it is by procedure."""


@dataclass(frozen=True, slots=True)
class Unit:
    code: str
    """Three characters of whoever made the lot, without trailing zero bytes: any that they liked."""


@dataclass(frozen=True, slots=True)
class Age:
    """How long ago something was."""

    seconds: int
    """Negative if it lies ahead."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Fields:
    """Disclosed fields of a document: path and value."""

    fields: tuple[tuple[tuple[str | int, ...], Json], ...]
