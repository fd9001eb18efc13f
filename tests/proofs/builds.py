"""Builds the release twice and compares the bytes: `python -m tests.proofs.builds` (`scripts/prove builds`).

Two clones of the last commit, in folders of other names, under another umask, time zone and language; both make the
wheel and its bills of materials (scripts/build), and compile the contracts (scripts/compile_contracts --check, which
compares them with the committed artifacts). Tools are those of this checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["build_in", "main"]

ROOT = Path(__file__).parents[2]
_SHARED = (".venv", ".venv-supply")
"""What is installed, not built."""
_PLACES = (
    ("a", {"TZ": "UTC", "LC_ALL": "C"}, 0o022),
    ("another/name", {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}, 0o077),
)
_LIMIT_S = 600


def build_in(folder: Path, environment: dict[str, str], umask: int) -> str:
    """The digests of what a clone in `folder` builds, a line for each file."""
    _run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], ROOT, {}, umask)
    for name in _SHARED:
        (folder / name).symlink_to(ROOT / name)
    # Copied: the compiler reads no source outside its project.
    shutil.copytree(ROOT / "contracts" / "node_modules", folder / "contracts" / "node_modules", symlinks=True)
    _run([str(folder / "scripts" / "build")], folder, environment, umask)
    _run([sys.executable, "scripts/compile_contracts", "--check"], folder, environment, umask)
    return (folder / "dist" / "SHA256SUMS").read_text()


def _run(command: list[str], folder: Path, environment: dict[str, str], umask: int) -> None:
    kept = {**os.environ, **environment}
    subprocess.run(command, cwd=folder, env=kept, umask=umask, stdout=sys.stderr, check=True, timeout=_LIMIT_S)


def main() -> int:
    """Prints both digests of each file. Exit code 0 if they are equal, 1 if not."""
    with tempfile.TemporaryDirectory(prefix="millmark-builds-") as folder:
        first, second = (build_in(Path(folder, name), where, umask) for name, where, umask in _PLACES)
    sys.stdout.write(first if first == second else f"{first}differ from\n{second}")
    sys.stdout.write("two builds, equal bytes; contracts as committed\n" if first == second else "NOT reproducible\n")
    return int(first != second)


if __name__ == "__main__":
    sys.exit(main())
