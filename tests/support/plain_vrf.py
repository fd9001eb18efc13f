"""ECVRF over secp256k1 in plain arithmetic: slow, and without anything in common with `millmark.ledger.names`, which it
judges.

Points are (x, y), None is infinity. Text of RFC 9381: sections 5.1 to 5.4; of SEC 2: section 2.4.1.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from typing import TypeAlias

Point: TypeAlias = "tuple[int, int] | None"

P = 2**256 - 2**32 - 977
Q = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BASE = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    if one == other:
        slope = 3 * one[0] ** 2 * pow(2 * one[1], -1, P) % P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P) % P
    x = (slope**2 - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


@functools.lru_cache(maxsize=8)
def doublings(point: Point) -> list[Point]:
    """The point times 1, 2, 4 and so on. Kept, since a proof multiplies few points, the base point always."""
    found = [point]
    for _ in range(255):
        found.append(add(found[-1], found[-1]))
    return found


def multiply(scalar: int, point: Point) -> Point:
    found: Point = None
    for bit, doubled in enumerate(doublings(point)):
        if scalar >> bit & 1:
            found = add(found, doubled)
    return found


def write(point: Point) -> bytes:
    assert point is not None
    return bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big")


def read(text: bytes) -> Point:
    """The point of 33 bytes; None if there is none."""
    x = int.from_bytes(text[1:], "big")
    if len(text) != 33 or text[0] not in (2, 3) or x >= P:
        return None
    y = pow(x**3 + 7, (P + 1) // 4, P)
    if (y * y - x**3 - 7) % P:
        return None
    return x, y if y % 2 == text[0] % 2 else P - y


def encode_to_curve(key: bytes, alpha: bytes) -> Point:
    for counter in range(256):
        hashed = hashlib.sha256(b"\xfe\x01" + key + alpha + bytes([counter, 0])).digest()
        found = read(b"\x02" + hashed)
        if found is not None:
            return found
    raise AssertionError


def challenge(*points: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"\xfe\x02" + b"".join(points) + b"\x00").digest()[:16], "big")


def nonce(secret: int, message: bytes) -> int:
    """RFC 6979 section 3.2, step by step."""
    h1 = int.from_bytes(hashlib.sha256(message).digest(), "big") % Q
    both = secret.to_bytes(32, "big") + h1.to_bytes(32, "big")
    v, k = b"\x01" * 32, b"\x00" * 32
    k = hmac.new(k, v + b"\x00" + both, hashlib.sha256).digest()
    v = hmac.new(k, v, hashlib.sha256).digest()
    k = hmac.new(k, v + b"\x01" + both, hashlib.sha256).digest()
    v = hmac.new(k, v, hashlib.sha256).digest()
    while True:
        v = hmac.new(k, v, hashlib.sha256).digest()
        if 1 <= int.from_bytes(v, "big") < Q:
            return int.from_bytes(v, "big")
        k = hmac.new(k, v + b"\x00", hashlib.sha256).digest()
        v = hmac.new(k, v, hashlib.sha256).digest()


def public_key(secret: int) -> bytes:
    return write(multiply(secret, BASE))


def prove(secret: int, alpha: bytes) -> bytes:
    key = public_key(secret)
    h = encode_to_curve(key, alpha)
    gamma, k = multiply(secret, h), nonce(secret, write(h))
    c = challenge(key, write(h), write(gamma), write(multiply(k, BASE)), write(multiply(k, h)))
    return write(gamma) + c.to_bytes(16, "big") + ((k + c * secret) % Q).to_bytes(32, "big")


def is_valid(key: bytes, alpha: bytes, proof: bytes) -> bool:
    y, gamma = read(key), read(proof[:33])
    c, s = int.from_bytes(proof[33:49], "big"), int.from_bytes(proof[49:], "big")
    if y is None or gamma is None or len(proof) != 81 or c == 0 or not 0 < s < Q:
        return False
    h = encode_to_curve(key, alpha)
    u = add(multiply(s, BASE), multiply(Q - c, y))
    v = add(multiply(s, h), multiply(Q - c, gamma))
    return u is not None and v is not None and c == challenge(key, write(h), proof[:33], write(u), write(v))


def output(proof: bytes) -> bytes:
    return hashlib.sha256(b"\xfe\x03" + proof[:33] + b"\x00").digest()
