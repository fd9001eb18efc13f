"""The genuine bundle in tests/vectors/bundle, and its trust files."""

from __future__ import annotations

import functools
from pathlib import Path

from millmark.ledger.bundle import Bundle, parse_bundle
from millmark.ledger.trust import TrustFile, parse_trust
from tests.support.bundle_content import Content, copy_content, read_content

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"
DATA = FOLDER / "part.bundle"
TRUST = FOLDER / "trust.json"
SEALED = FOLDER / "sealed.json"
"""Lists the validators that sealed the block; `TRUST` names the block itself."""
NEEDED = ("coincurve", "rfc8785", "safe-pysha3")
"""Distributions that the verifier imports. A change affects everybody who installs only the verifier."""


@functools.cache
def vector_bytes() -> bytes:
    """The bundle's file."""
    return DATA.read_bytes()


@functools.cache
def vector_bundle() -> Bundle:
    """The parsed bundle."""
    return parse_bundle(vector_bytes())


@functools.cache
def vector_trust() -> TrustFile:
    """The parsed trust file."""
    return parse_trust(TRUST.read_bytes())


@functools.cache
def _content() -> Content:
    return read_content(vector_bundle(), vector_trust())


def vector_content() -> Content:
    """The bundle's content; a new copy for each call."""
    return copy_content(_content())


def vector_now() -> int:
    """A time shortly after the proof block, seconds since 1970."""
    return _content().time + 100
