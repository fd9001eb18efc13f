"""The true bundle in tests/vectors/bundle, with its trust file."""

from __future__ import annotations

import functools
from pathlib import Path

from ledger.bundle import Bundle, parse_bundle
from ledger.trust import TrustFile, parse_trust
from tests.support.bundle_content import Content, copy_content, read_content

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"
DATA = FOLDER / "part.bundle"
TRUST = FOLDER / "trust.json"
NEEDED = ("coincurve", "rfc8785", "safe-pysha3")
"""Distributions that the verifier imports. A change here is a change for everybody who installs it alone."""


@functools.cache
def vector_bytes() -> bytes:
    return DATA.read_bytes()


@functools.cache
def vector_bundle() -> Bundle:
    return parse_bundle(vector_bytes())


@functools.cache
def vector_trust() -> TrustFile:
    return parse_trust(TRUST.read_bytes())


@functools.cache
def _content() -> Content:
    return read_content(vector_bundle(), vector_trust())


def vector_content() -> Content:
    """For each test its own."""
    return copy_content(_content())


def vector_now() -> int:
    """Shortly after the proof block, in seconds since 1970."""
    return _content().time + 100
