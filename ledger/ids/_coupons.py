"""North American coupon codes, application identifiers 8110 and 8112.

Source: GS1 US, North American Coupon Application Guideline; GS1 General Specifications, sections 3.9.12 and 3.9.14.
A length indicator precedes some fields: a digit that, plus a constant from the guideline, is the field's length.
"""

from __future__ import annotations


class _MalformedError(Exception):
    """The text is not a coupon."""


class _Digits:
    """The part of a coupon that is not parsed yet. All methods raise _MalformedError."""

    def __init__(self, text: str) -> None:
        self._rest = text

    def __bool__(self) -> bool:
        return bool(self._rest)

    def take(self, count: int) -> str:
        """Remove and return the next `count` digits."""
        found, self._rest = self._rest[:count], self._rest[count:]
        if len(found) != count or not (found.isascii() and found.isdigit()):
            raise _MalformedError
        return found

    def one_of(self, allowed: str) -> str:
        """Remove and return the next digit, which must be one of `allowed`."""
        digit = self.take(1)
        if digit not in allowed:
            raise _MalformedError
        return digit

    def counted(self, indicators: str, more: int) -> None:
        """Skip a length indicator, which must be one of `indicators`, and a field of that length plus `more`."""
        self.take(int(self.one_of(indicators)) + more)


def is_positive_offer(text: str) -> bool:
    """Whether `text` consists of the format, funder, offer and serial number of a positive offer file (8112)."""
    digits = _Digits(text)
    try:
        digits.one_of("01")
        digits.counted("0123456", 6)
        digits.take(6)
        digits.counted("0123456789", 6)
    except _MalformedError:
        return False
    return not digits


def is_coupon(text: str) -> bool:
    """Whether `text` is a coupon code (8110): the fixed fields, then optional ones in ascending order."""
    digits, last = _Digits(text), ""
    try:
        digits.counted("0123456", 6)  # company prefix of the funder
        digits.take(6)  # offer
        digits.counted("12345", 0)  # value of the saving
        _purchase(digits)
        while digits:
            field = digits.one_of("1234569")
            if field <= last:
                return False
            _OPTIONAL[field](digits)
            last = field
    except _MalformedError:
        return False
    return True


def _purchase(digits: _Digits) -> None:
    digits.counted("12345", 0)  # purchase requirement
    digits.one_of("012349")
    digits.take(3)  # family


def _second_purchase(digits: _Digits) -> None:
    digits.one_of("0123")
    _third_purchase(digits)


def _third_purchase(digits: _Digits) -> None:
    _purchase(digits)
    indicator = digits.one_of("01234569")
    if indicator != "9":  # 9: no company prefix follows, it is that of the first purchase
        digits.take(int(indicator) + 6)


def _date(digits: _Digits) -> None:
    text = digits.take(6)
    month, day, leap = int(text[2:4]), int(text[4:]), int(text[:2]) % 4 == 0
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1]):
        raise _MalformedError


def _miscellaneous(digits: _Digits) -> None:
    digits.one_of("01256")  # kind of saving
    digits.one_of("012")  # applies to which item
    digits.take(1)  # store coupon
    digits.one_of("01")  # may be multiplied


_OPTIONAL = {
    "1": _second_purchase,
    "2": _third_purchase,
    "3": _date,
    "4": _date,
    "5": lambda digits: digits.counted("0123456789", 6),  # serial number
    "6": lambda digits: digits.counted("1234567", 6),  # retailer
    "9": _miscellaneous,
}
