"""Points and signatures on secp256k1 by @noble/curves, under the names that coincurve gives them.

Only what the verifier uses. Each method refuses what libsecp256k1 refuses, with the same kinds of errors.
"""

from __future__ import annotations

from collections.abc import Sequence

from millmark_hashing import add_generator, combine, multiply, parse_point, recover
from pyodide.ffi import JsException, JsProxy, to_js

__all__ = ["PublicKey"]


class PublicKey:
    """A point other than infinity."""

    def __init__(self, data: bytes | JsProxy) -> None:
        """Raises ValueError unless `data` is a point's compressed or uncompressed form."""
        self._point = _point(parse_point, to_js(data)) if isinstance(data, bytes) else data

    @classmethod
    def from_signature_and_message(cls, signature: bytes, message: bytes, hasher: None = None) -> PublicKey:
        """The key that signed a digest. `signature`: r, s, recovery number. Raises ValueError if there is none."""
        if hasher is not None:
            raise NotImplementedError
        return cls(_point(recover, to_js(signature), to_js(message)))

    @classmethod
    def combine_keys(cls, keys: Sequence[PublicKey]) -> PublicKey:
        """The sum of points. Raises ValueError if it is infinity."""
        return cls(_point(combine, to_js([key._point for key in keys])))

    def multiply(self, scalar: bytes) -> PublicKey:
        """Raises ValueError unless the scalar is from 1 to the order - 1."""
        return PublicKey(_point(multiply, self._point, to_js(scalar)))

    def add(self, scalar: bytes) -> PublicKey:
        """The sum with a multiple of the generator. Raises ValueError if it is infinity."""
        return PublicKey(_point(add_generator, self._point, to_js(scalar)))

    def format(self, compressed: bool = True) -> bytes:
        """33 bytes, or 65 bytes."""
        found: bytes = self._point.toBytes(compressed).to_bytes()
        return found


def _point(make, *arguments):
    try:
        return make(*arguments)
    except JsException as error:
        raise ValueError(str(error)) from None
