"""Enumerations of the contracts (contracts/src/interfaces). Values are the contracts' numbers."""

from __future__ import annotations

import enum
import functools
import operator


class Contract(enum.Enum):
    """The two contracts that log records."""

    REGISTRY = "registry"
    LEDGER = "ledger"


class Role(enum.IntFlag):
    """Roles of participants, as bits of a mask (contracts/src/libraries/Roles.sol)."""

    BUYER = 1
    COORDINATOR = 2
    MANUFACTURER = 4
    INSPECTOR = 8
    CARRIER = 16
    AUDITOR = 32


ALL_ROLES = functools.reduce(operator.or_, Role)
"""The mask with all roles."""


class PublicationKind(enum.IntEnum):
    """What the registry's owner publishes to all, by its digest."""

    DIRECTORY = 1


class NoteKind(enum.IntEnum):
    """What a note is. A consortium may agree on further numbers."""

    OBSERVATION = 1
    RECALL_NOTICE = 2
    """What it is about should be taken out of use; the document says why."""
    CALIBRATION = 3
    MAINTENANCE = 4
    LATER_FACT = 5
    """Something that became known after the lot had left: state of health, status of use, a repair elsewhere."""
    ACKNOWLEDGEMENT = 8
    """On lots that a recall notice reaches, by whoever has them: the notices recorded so far were read, and are being
    acted upon."""
    RESOLUTION = 9
    """On such lots: nothing more is to be done about them. By who recorded the notice, on all that it names: the matter
    is closed."""
    DRIFT = 10
    """What is measured of the lots differs from what the model learned from: their inspector's alarm."""


class ModelState(enum.IntEnum):
    NONE = 0
    REGISTERED = 1
    APPROVED = 2
    RETIRED = 3
    """No new verdicts; those given stand."""
    WITHDRAWN = 4

    @property
    def stands(self) -> bool:
        """Whether verdicts on a model in this state count."""
        return self in (ModelState.APPROVED, ModelState.RETIRED)


class OrderState(enum.IntEnum):
    NONE = 0
    PLACED = 1
    ACCEPTED = 2
    REJECTED = 3
    IN_PRODUCTION = 4
    COMPLETED = 5
    DELIVERED = 6
    CANCELLED = 7
    ENDED = 8


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
    RETURNING = 5
    """Quarantined, and offered to its maker."""

    @property
    def is_quarantined(self) -> bool:
        return self in (LotState.QUARANTINED, LotState.RETURNING)


class Disposition(enum.IntEnum):
    """How a quantity left for good."""

    SCRAPPED = 0
    EXPORTED = 1
    SOLD = 2
    LOST = 3
    RECYCLED = 4


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
    """The state of a certificate that results from its records. CertificateStatus tells whether the certificate
    counts.
    """

    NONE = 0
    ISSUED = 1
    DEMANDED = 2
    """Its opening was demanded, and has not happened yet."""
    UPHELD = 3
    REVOKED = 4
    REFUTED = 5


MAX_OPEN = 255
"""The most open certificates of one inspector on a lot that are counted. At that number the count stays."""


class CertificateStatus(enum.IntEnum):
    """Whether a certificate counts at a time, and if not, why. It follows from state, model and time."""

    NONE = 0
    VALID = 1
    EXPIRED = 2
    REVOKED = 3
    FALLEN = 4
    """Its model was withdrawn."""
    REFUTED = 5
    UNOPENED = 6
    """Its opening was demanded, and did not happen before the deadline."""
    VOIDED = 7
    """The lot was reworked since, and this was a pass on the lot as it was before."""
