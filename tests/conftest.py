"""For all tests."""

from __future__ import annotations

import os

from ledger.recursion import bound_recursion

bound_recursion()  # web3 brings a pytest plugin, whose import raises the limit before any test
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads sleep: spinning, they slow each other down
