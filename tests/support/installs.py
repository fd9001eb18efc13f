"""Installations with exactly the chosen distributions: folders of links to the packages of this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from tests.support.patience import MAX_S
from tests.support.requirements import PROJECT, ROOT

CALL = "import sys; from {0} import {1}; sys.argv[0] = 'millmark'; {1}()"


def link_distributions(folder: Path, names: Iterable[str]) -> Path:
    """Links Millmark and these distributions into a folder, and returns it."""
    for name in [*names, "millmark"]:
        distribution = metadata.distribution(name)
        tops = {path.parts[0] for path in distribution.files or () if path.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not top.startswith("__editable__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return link_packages(folder)


def link_packages(folder: Path, packages: Iterable[str] = ("ledger", "services", "quality")) -> Path:
    """Links Millmark's packages into a folder, by the names that they are imported by, and returns it."""
    (folder / "millmark").mkdir()
    for path in (*(ROOT / package for package in packages), *(ROOT / "services" / "public").glob("*.*")):
        (folder / "millmark" / path.name).symlink_to(path)
    return folder


def run_python(site: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python with `-S`, so that the packages of this environment are not visible."""
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(
        command, cwd=cwd or site, env=environment, capture_output=True, text=True, check=False, timeout=MAX_S
    )


def run_millmark(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `millmark` the way the console script of pyproject.toml does."""
    return run_python(site, "-c", CALL.format(*PROJECT["scripts"]["millmark"].split(":")), *arguments)
