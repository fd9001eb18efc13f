"""How members of enumerations, and the values of a contract's error, are shown to people."""

from __future__ import annotations

import enum
from collections.abc import Mapping

ENUMERATIONS: Mapping[str, str] = {
    "CertificateStatus.NONE": "no certificate",
    "CertificateStatus.VALID": "in force",
    "CertificateStatus.FALLEN": "fallen with its model",
    "CertificateStatus.UNOPENED": "not opened in time",
    "CertificateStatus.VOIDED": "void, reworked since",
    "LotState.NONE": "not recorded",
    "LotState.HELD": "in custody",
    "LotState.QUARANTINED": "in quarantine",
    "LotState.SPENT": "used up",
    "LotState.RETURNING": "on its way back, in quarantine",
    "Verdict.NONE": "no verdict",
}
"""Words for members of enumerations, if they are not the members' names."""


def show_member(value: enum.Enum) -> str:
    """The word for a member of an enumeration, the same in errors, commands and pages."""
    return ENUMERATIONS.get(f"{type(value).__name__}.{value.name}", value.name.lower().replace("_", " "))


def show_value(name: str, value: object) -> str:
    """The value of an error's argument in words."""
    # People count operations from 1; the contracts, and `values`, from 0.
    return str(value + 1) if name == "operation" and isinstance(value, int) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, enum.Enum):
        return show_member(value)
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
