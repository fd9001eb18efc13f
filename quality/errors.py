"""The exceptions of the quality package, as one tree.

    QualityError
      InputError       a table, a window or an argument is unusable (exit code 2)
      ModelError       bytes or numbers do not form a model of format version 1 (exit code 2)
      InferenceError   an inference does not follow from its model and input
        AuditError     a quantity stated in an extract differs from the re-executed one
      ExportError      a trained model does not fit the integer format
      DataError        the public data set cannot be downloaded, or differs from the pinned one

`str()` of each is one line for the user: the cause and, where there is a remedy, a semicolon and the hint.
"""

from __future__ import annotations

from typing import ClassVar


class QualityError(Exception):
    """Root of the tree. `str()` is one line: the cause, then the hint (the remedy) if there is one."""

    exit_code: ClassVar[int] = 1
    """Exit code of a command that this error ends."""

    def __init__(self, cause: str, *, hint: str = "") -> None:
        self.cause = cause
        self.hint = hint
        super().__init__(f"{cause}; {hint}" if hint else cause)


class InputError(QualityError):
    """A table, a window or an argument is unusable."""

    exit_code = 2


class ModelError(QualityError):
    """Bytes or numbers do not form a model of this format version.

    The golden vectors in `tests/unit/quality/vectors` pin the causes, so that another implementation can compare them.
    """

    exit_code = 2


class InferenceError(QualityError):
    """An inference does not follow from its model and its input."""


class AuditError(InferenceError):
    """A quantity stated in an extract differs from the re-executed one; both are kept as text."""

    def __init__(self, quantity: str, stated: str, computed: str, *, cause: str = "") -> None:
        self.quantity = quantity
        self.stated = stated
        self.computed = computed
        super().__init__(cause or f"{quantity} mismatch: stated {stated}, computed {computed}")


class ExportError(QualityError):
    """A trained model does not fit the integer format."""


class DataError(QualityError):
    """The public data set cannot be downloaded, or differs from the pinned one."""
