"""The table of packages (scripts/DEPENDENCIES.md) is about the packages that are named and locked now."""

from __future__ import annotations

import json
import re
from collections import defaultdict

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.requirements import EXTRAS, PLATFORMS, PROJECT, PYTHONS, ROOT, SCRIPTS, build_environment, read_lock

TABLE = (SCRIPTS / "DEPENDENCIES.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")][
    1:
]
OURS = re.compile("(Apache|MIT|BSD|ISC|PSF|MPL-2.0$)")
"""Licences under which a part may be used and shipped without a second look; MPL: unchanged."""


def test_every_package_that_is_named_has_a_row_with_its_locked_version() -> None:
    groups = {"base": PROJECT["dependencies"], **{extra: PROJECT["optional-dependencies"][extra] for extra in EXTRAS}}
    lock: dict[str, set[str]] = defaultdict(set)
    for environment in (build_environment(python, platform) for python in PYTHONS for platform in PLATFORMS):
        for name, version in read_lock("dev", environment).items():
            lock[name].add(version)
    named = [(canonicalize_name(Requirement(line).name), group) for group, lines in groups.items() for line in lines]
    expected = [(name, group, ", ".join(sorted(lock[name])) or "a range") for name, group in named]
    for folder in ("contracts", "services/check", "tests/browser"):
        package = json.loads((ROOT / folder / "package.json").read_text())
        packages = package.get("dependencies", {}) | package.get("devDependencies", {})
        expected += [(name, folder, version) for name, version in sorted(packages.items())]
    assert [tuple(row[:3]) for row in ROWS] == expected, "run scripts/dependencies"


def test_what_the_columns_leave_open_was_looked_at() -> None:
    looked_at = set(re.findall(r"^- ([^:]+): ", TABLE, re.MULTILINE))
    for name, _, _, licence, newest, releases in ROWS:
        if int(releases) == 0 or not OURS.search(licence):
            assert name in looked_at, (name, licence, newest)
    assert looked_at <= {row[0] for row in ROWS}
