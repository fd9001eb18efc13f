"""Whether torch's idle threads sleep, and that whoever sets the environment decides."""

from __future__ import annotations

import pytest

from millmark.quality.commands.options import let_idle_threads_sleep


@pytest.mark.parametrize(("stated", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, stated: str | None, found: str
) -> None:
    environment = {} if stated is None else {"OMP_WAIT_POLICY": stated}
    monkeypatch.setattr("os.environ", environment)
    let_idle_threads_sleep()
    assert environment["OMP_WAIT_POLICY"] == found
