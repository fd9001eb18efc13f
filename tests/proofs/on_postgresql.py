"""A pytest plugin: every store of `new_store` is on a PostgreSQL cluster of the run's own.

python -m pytest -n 0 -p tests.proofs.on_postgresql tests/unit/services/test_gateway_*.py
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support import cluster
from tests.support.stores import on_cluster, prepare_cluster

_opened = ExitStack()


def pytest_configure() -> None:
    missing = cluster.describe_missing()
    if missing is not None:
        raise pytest.UsageError(missing)
    url = _opened.enter_context(cluster.running_cluster())
    prepare_cluster(url)
    _opened.enter_context(on_cluster(url))


def pytest_unconfigure() -> None:
    _opened.close()
