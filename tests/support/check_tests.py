"""The verifier's own tests in the Python of the browser page: `python -m tests.support.check_tests` (`scripts/prove
check-tests`). They run in Pyodide under Node, with the page's stand-ins for extension modules.

Left out by name: property tests, since hypothesis has a native part; tests that sign, since the page only verifies;
data outside the repository; and files that open a socket, start a process, or test what the page does not have.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from services.check.build import build_folder
from tests.support.check_page import MODULES, ROOT, RUN, unpack_page

__all__ = ["FILES", "main"]

FILES = tuple(
    f"tests/unit/ledger/test_{name}.py"
    for name in (
        *("bundle", "claims", "evidence", "merkle", "rlp", "seals", "slots", "trie", "trust"),
        *("verify_abi", "verify_attacks", "verify_seals", "verify_steps"),
    )
)
_INI = "tests/support/pyodide/pytest.ini"
_LIMIT_S = 1800
_REASONS = ("property tests need hypothesis", "signs, which the page does not", "is absent")
"""Why a test may be skipped; the last is said of data that is not part of the repository."""


def main() -> int:
    """Prints pytest's report. Returns 0 if all tests passed that the page's Python can run."""
    node = shutil.which("node")
    if node is None or not (MODULES / "pyodide").exists():
        sys.exit("check_tests: node and the packages of services/check are needed")
    packages = sysconfig.get_paths()["purelib"]
    options = ("-c", _INI, "--rootdir=/root", "-q", "-rs", "-p", "no:cacheprovider", "--noconftest", *FILES)
    with TemporaryDirectory() as folder:
        build_folder(MODULES, Path(folder) / "page")
        unpacked = unpack_page(Path(folder) / "page", Path(folder) / "unpacked")
        command = [node, str(RUN), str(unpacked), "pytest", str(MODULES), str(ROOT), packages, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, cwd=ROOT)
    sys.stdout.write("".join(f"{line[:200]}\n" for line in done.stdout.splitlines()[-60:]))
    unknown = [line for line in re.findall(r"^SKIPPED .*", done.stdout, re.MULTILINE) if not line.endswith(_REASONS)]
    for line in unknown:
        sys.stdout.write(f"skipped for another reason: {line[:200]}\n")
    return done.returncode or bool(unknown)


if __name__ == "__main__":
    sys.exit(main())
