"""The base58btc form of multibase (draft-multiformats-multibase), used for keys and proofs."""

from __future__ import annotations

from ledger.errors import InputError

__all__ = ["decode_multibase", "encode_multibase"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_CHARACTERS = 200
"""Decoding takes quadratic time; keys and signatures have fewer than 100 characters."""


def encode_multibase(data: bytes) -> str:
    """Encodes `data` as multibase: `z` and its base58btc form."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    # Leading zero bytes do not show in the number; base58 writes each of them as its first digit.
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "z" + _ALPHABET[0] * zeros + text


def decode_multibase(text: str) -> bytes:
    """Decodes multibase text in base58btc. Raises InputError."""
    if not isinstance(text, str) or not text.startswith("z") or not 1 < len(text) <= _MAX_CHARACTERS:
        raise InputError("not multibase text in base58btc", hint="it must begin with z")
    digits = text[1:]
    number = 0
    for character in digits:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise InputError(f"{character!a} is not a base58 character")
        number = number * 58 + digit
    zeros = len(digits) - len(digits.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
