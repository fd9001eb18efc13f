"""What the tests of documents over HTTP share; `shared` is each module's own."""

from __future__ import annotations

import pytest

from tests.support.shared_world import OWNER, Partner, SharedWorld


@pytest.fixture(scope="module")
def owner(shared: SharedWorld) -> Partner:
    return Partner(shared, OWNER)
