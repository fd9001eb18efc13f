"""The network that these tests share: started once, whichever of them runs first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.networks import SharedNetwork, describe_missing, shared_network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedNetwork]:
    """Five signers of Clique, or four validators of QBFT, on the loopback."""
    missing = describe_missing()
    if missing is not None:
        pytest.skip(missing)
    with shared_network(tmp_path_factory.mktemp("network")) as found:
        yield found
