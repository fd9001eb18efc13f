"""A gateway on a disk that is really full, with its log on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.services.audit import AuditLog
from tests.support.broken_log import standard_error
from tests.support.figures import Judge
from tests.support.monitored import OTHER, Site
from tests.support.patience import wait_until
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "none", folder], check=False).returncode:
        pytest.skip("only root can mount a file system; the other tests inject the errors")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_full_with_the_log_on_it_is_a_503_and_passes(small_disk: Path, judge: Judge) -> None:
    """Database, audit log and standard error share a disk, which is full for a while: no answer is a bare 500, nothing
    is shown without an entry in the audit log, and afterwards everything goes on by itself."""
    descriptor = os.open(small_disk / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with new_store(small_disk) as store, standard_error(descriptor):
        site = Site(store, AuditLog(small_disk / "audit", lambda: NOW_S))
        with site.open() as ask:
            ballast = small_disk / "ballast"
            _fill(ballast)
            wait_until(lambda: ask("/v1/session").status_code == 503)  # the last page of the audit log has room first
            site.suspend(OTHER)
            for path in ("/v1/session", "/v1/lots", "/health"):
                answer = ask(path)
                assert answer.status_code == (200 if path == "/health" else 503), path
                assert answer.headers["x-content-type-options"] == "nosniff"
            assert ask("/v1/lots").json()["type"] == "urn:millmark:problem:audit-failed"
            wait_until(lambda: "log: log-lost" in ask.codes()[1])
            ballast.unlink()
            wait_until(lambda: ask("/v1/session", OTHER).status_code == 401)
            assert ask("/v1/session").status_code == 200
            wait_until(lambda: ask.codes() == ([], []))
            judge("503 and log-lost while it is full, then 200, ready by itself; the suspended company is kept out")
    os.close(descriptor)
    lines = (small_disk / "log").read_text().splitlines()
    whole = [json.loads(line)["event"] for line in lines if line.endswith("}")]
    assert "log lines lost" in whole
    assert len(lines) - len(whole) <= 1, "only the line at which the disk was full is torn"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 9, 1):
            try:
                while file.write(bytes(size)):
                    continue
            except OSError:
                continue
