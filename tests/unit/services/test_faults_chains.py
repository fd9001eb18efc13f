"""Where the fault laboratory finds its chain."""

from __future__ import annotations

from tests.faults.chains import find_anvil
from tests.support import toolchain


def test_anvil_is_found_where_the_tool_chain_is() -> None:
    binary = toolchain.native_binary("anvil")
    assert find_anvil() == (binary if binary.exists() else None)
