"""The audit log between processes, and where the system takes the room to write from one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from millmark.services.audit import Access, AuditLog, verify_audit
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration


def append(log: AuditLog) -> None:
    log.append(Access(1, "", "a", "b", 200, "", None))


def test_many_processes_write_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from millmark.services.audit import Access, AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]), lambda: 1, most_file_bytes=5000)\n"
        "[log.append(Access(1, '', 'a', sys.argv[2], 200, '', None)) for _ in range(50)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(at)]) for at in range(4)]
    assert [one.wait(MAX_S) for one in running] == [0] * 4
    assert verify_audit(tmp_path).last == 200


def test_a_full_disk_is_said_and_leaves_no_half_entry(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, lambda: 1)
    append(log)
    append(log)
    (path,) = tmp_path.glob("audit-*.jsonl")
    before = path.read_bytes()
    program = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from millmark.services.audit import Access, AuditError, AuditLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = AuditLog(Path(sys.argv[1]), lambda: 1)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, {len(before) + 100}))\n"
        "try: log.append(Access(1, '', 'a', 'b', 200, '', None))\n"
        "except AuditError: sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=MAX_S).returncode == 7
    assert path.read_bytes() == before
    append(log)
    log.close()
    assert verify_audit(tmp_path).last == 3
