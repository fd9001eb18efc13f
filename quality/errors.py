"""Every failure that the quality package names, as one tree.

    QualityError
      InputError       a table, a window, an argument is unusable (exit code 2)
      ModelError       bytes or numbers that are not a model of format version 1 (exit code 2)
      InferenceError   an inference that does not follow from its model and input
        AuditError     a quantity in an extract that re-execution does not give
      ExportError      a trained network that the integer format cannot carry
      DataError        the public data set cannot be had, or is not the one that was pinned

`str()` of each is one line for the user: the cause, and the hint after a semicolon.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["AuditError", "DataError", "ExportError", "InferenceError", "InputError", "ModelError", "QualityError"]


class QualityError(Exception):
    """Root of the tree. `str()` is one line: the cause, and after a semicolon the hint when there is one."""

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, hint: str = "") -> None:
        self.cause = cause
        self.hint = hint
        super().__init__(f"{cause}; {hint}" if hint else cause)


class InputError(QualityError):
    """A table, a window or an argument cannot be used."""

    exit_code = 2


class ModelError(QualityError):
    """Bytes or numbers that are not a model of this format version."""

    exit_code = 2


class InferenceError(QualityError):
    """An inference that does not follow from its model and its input."""


class AuditError(InferenceError):
    """A quantity in an extract is not what re-execution gives."""

    def __init__(self, quantity: str, stated: str, computed: str) -> None:
        self.quantity = quantity
        self.stated = stated
        self.computed = computed
        super().__init__(f"{quantity} differs: stated {stated}, computed {computed}")


class ExportError(QualityError):
    """A trained network that the integer format cannot carry."""


class DataError(QualityError):
    """The public data set cannot be had, or is not the one that was pinned."""
