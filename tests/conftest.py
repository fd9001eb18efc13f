"""For all tests."""

from __future__ import annotations

from ledger.recursion import bound_recursion

bound_recursion()  # web3 brings a pytest plugin, whose import raises the limit before any test
