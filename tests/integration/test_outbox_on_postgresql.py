"""Outbox, undo log and two followers on PostgreSQL: tests that elsewhere run on SQLite, whose SQL differs most between
the two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import describe_missing, running_cluster
from tests.support.stores import on_cluster, prepare_cluster
from tests.unit.ledger.conftest import outbox, store
from tests.unit.ledger.test_index_two_followers import (
    test_nothing_is_forgotten_of_blocks_that_another_follower_wrote,
    test_progress_is_that_of_the_whole_call,
)
from tests.unit.ledger.test_index_undo import *  # noqa: F403  # its tests and fixtures
from tests.unit.ledger.test_outbox import *  # noqa: F403  # as above

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(describe_missing() is not None, reason=str(describe_missing())),
]

__all__ = [
    "outbox",
    "store",
    "test_nothing_is_forgotten_of_blocks_that_another_follower_wrote",
    "test_progress_is_that_of_the_whole_call",
]


@pytest.fixture(scope="module", autouse=True)
def _stores_on_postgresql() -> Iterator[None]:
    with running_cluster() as url:
        prepare_cluster(url)
        with on_cluster(url):
            yield
