"""The states and kinds that the contracts name by number."""

from __future__ import annotations

import enum
import functools
import operator


class Contract(enum.Enum):
    """The two contracts that record."""

    REGISTRY = "registry"
    LEDGER = "ledger"


class Role(enum.IntFlag):
    """What a participant may do; bits of one mask (contracts/src/libraries/Roles.sol)."""

    BUYER = 1
    COORDINATOR = 2
    MANUFACTURER = 4
    INSPECTOR = 8
    CARRIER = 16
    AUDITOR = 32


ALL_ROLES = functools.reduce(operator.or_, Role)
"""The mask of all of them."""


class ModelState(enum.IntEnum):
    NONE = 0
    REGISTERED = 1
    APPROVED = 2
    WITHDRAWN = 3


class OrderState(enum.IntEnum):
    NONE = 0
    PLACED = 1
    ACCEPTED = 2
    REJECTED = 3
    IN_PRODUCTION = 4
    COMPLETED = 5
    DELIVERED = 6
    CANCELLED = 7


class AssignmentState(enum.IntEnum):
    NONE = 0
    PROPOSED = 1
    ACCEPTED = 2
    DECLINED = 3
    STARTED = 4
    FINISHED = 5
    CANCELLED = 6


class LotState(enum.IntEnum):
    NONE = 0
    HELD = 1
    OFFERED = 2
    QUARANTINED = 3
    SPENT = 4


class TransformationKind(enum.IntEnum):
    SPLIT = 0
    MERGE = 1
    CONVERSION = 2
    REWORK = 3


class Verdict(enum.IntEnum):
    NONE = 0
    PASS = 1
    FAIL = 2


class CertificateState(enum.IntEnum):
    NONE = 0
    ISSUED = 1
    DEMANDED = 2
    UPHELD = 3
    REVOKED = 4
    REFUTED = 5


class CertificateStatus(enum.IntEnum):
    NONE = 0
    VALID = 1
    EXPIRED = 2
    REVOKED = 3
    FALLEN = 4
    REFUTED = 5
    UNOPENED = 6
