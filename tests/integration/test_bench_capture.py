"""What `scripts/bench capture` sends to a node, the node takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.capture import _ask, serve_node

pytestmark = pytest.mark.integration


def test_a_node_takes_the_single_events_of_the_bench(tmp_path: Path) -> None:
    with serve_node(tmp_path) as (port, _):
        assert len(asyncio.run(_ask(port, rate=100, seconds=0.1, name="single"))) == 10
