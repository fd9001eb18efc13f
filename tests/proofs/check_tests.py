"""The verifier's own tests in the Python of the browser page: `python -m tests.proofs.check_tests` (`scripts/prove
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
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from millmark.services.check.build import build_folder, unpack_files
from millmark.services.check.fixed import read_fixed
from tests.support.check_page import ROOT, RUN, unpack_page

__all__ = ["FILES", "main", "run_tests"]

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


def run_tests(unpacked: Path, files: Sequence[str]) -> tuple[int, str]:
    """Runs test files in the Python of an unpacked page. Returns 0 and what was printed if all tests passed that it can
    run."""
    packages = sysconfig.get_paths()["purelib"]
    options = ("-c", _INI, "--rootdir=/root", "-q", "-rs", "-p", "no:cacheprovider", "--noconftest", *files)
    with TemporaryDirectory() as whole:
        unpack_files(read_fixed(), Path(whole))
        command = ["node", str(RUN), str(unpacked), "pytest", whole, str(ROOT), packages, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, cwd=ROOT)
    told = [line[:200] for line in done.stdout.splitlines()[-60:]]
    unknown = [line for line in re.findall(r"^SKIPPED .*", done.stdout, re.MULTILINE) if not line.endswith(_REASONS)]
    told += [f"skipped for another reason: {line[:200]}" for line in unknown]
    return done.returncode or int(bool(unknown)), "\n".join(told)


def main() -> int:
    """Prints pytest's report. Returns 0 if all tests passed that the page's Python can run."""
    if shutil.which("node") is None:
        sys.exit("check_tests: node is needed")
    with TemporaryDirectory() as folder:
        build_folder(Path(folder) / "page", memory=False)
        code, told = run_tests(unpack_page(Path(folder) / "page", Path(folder) / "unpacked"), FILES)
    sys.stdout.write(told + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
