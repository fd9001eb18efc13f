"""Which tests run which lines, how much processor time each takes, and which modules they need from elsewhere.

`python -m tests.proofs.mutation.covering FOLDER TARGET TEST...` runs the tests once, under coverage.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import pytest

__all__ = ["Covering", "main"]

ROOT = Path(__file__).parents[3]
_BUDGET_CPU_S = 60.0
"""What a mutant's tests may take together on the code as it is; the slowest are left out. So a mutant may be called a
survivor that one of those would have killed, never the other way round."""


@dataclass(frozen=True)
class Covering:
    """What the tests of a package cover."""

    by_line: dict[str, dict[int, list[str]]]
    """Tests by file and line."""
    cpu_s: dict[str, float]
    foreign: list[str]
    """Modules of other packages that were loaded in the end."""

    @classmethod
    def read(cls, folder: Path) -> Covering:
        kept = json.loads((folder / "covering.json").read_text())
        by_line = {path: {int(line): tests for line, tests in lines.items()} for path, lines in kept["by_line"].items()}
        return cls(by_line, kept["cpu_s"], kept["foreign"])

    def write(self, folder: Path) -> None:
        (folder / "covering.json").write_text(json.dumps(asdict(self)))

    def only(self, files: Collection[str]) -> Covering:
        """What the tests of some files cover."""
        return Covering(
            {
                path: {line: [one for one in tests if one.split("::")[0] in files] for line, tests in lines.items()}
                for path, lines in self.by_line.items()
            },
            {test: cpu_s for test, cpu_s in self.cpu_s.items() if test.split("::")[0] in files},
            self.foreign,
        )

    def with_part(self, part: Covering) -> Covering:
        """What these tests and those of other files cover."""
        by_line = {path: dict(lines) for path, lines in self.by_line.items()}
        for path, lines in part.by_line.items():
            own = by_line.setdefault(path, {})
            for line, tests in lines.items():
                own[line] = [*own.get(line, ()), *tests]
        return Covering(by_line, self.cpu_s | part.cpu_s, sorted({*self.foreign, *part.foreign}))

    def tests_of(
        self,
        path: str,
        lines: tuple[int, ...],
        *,
        in_function: bool,
        cpu_s: Mapping[str, float] | None = None,
        budget_s: float | None = None,
    ) -> list[str]:
        """Those that run one of the lines, the quickest first, within a budget of processor time. What stands outside
        functions runs when it is imported, for all tests of the file, and those in files that import it; of a file in
        which nothing else runs, for all tests. `cpu_s` takes the place of the times of here."""
        own = self.by_line.get(path, {})
        lines = lines if in_function else tuple(own)
        found = {test for line in lines for test in own.get(line, ())}
        if not in_function:
            found |= self._importing(path)
        if not found and not in_function:
            found = set(self.cpu_s)
        return _choose(found, self.cpu_s if cpu_s is None else cpu_s, _BUDGET_CPU_S if budget_s is None else budget_s)

    def _importing(self, path: str) -> set[str]:
        """The tests of files that import a module by its own name."""
        name = path.removesuffix(".py").replace("/", ".")
        told = f"from {name if name.startswith('tests.') else f'millmark.{name}'} import "
        files = {ROOT / test.split("::")[0] for test in self.cpu_s}
        named = {str(one.relative_to(ROOT)) for one in files if one.is_file() and told in one.read_text()}
        return {test for test in self.cpu_s if test.split("::")[0] in named}

    def with_more(self, tests: Sequence[str]) -> list[str]:
        """The tests, then others of the same files within what is left of the budget."""
        files = {test.split("::")[0] for test in tests}
        others = {test for test in self.cpu_s if test.split("::")[0] in files} - set(tests)
        left_s = _BUDGET_CPU_S - sum(self.cpu_s[test] for test in tests)
        return [*tests, *(_choose(others, self.cpu_s, left_s) if left_s > 0 else ())]


def _choose(tests: set[str], cpu_s: Mapping[str, float], budget_s: float) -> list[str]:
    """The quickest first; at least one."""
    chosen, left_s = list[str](), budget_s
    for test in sorted(tests & cpu_s.keys(), key=lambda test: (cpu_s[test], test)):
        left_s -= cpu_s[test]
        if left_s < 0 and chosen:
            break
        chosen.append(test)
    return chosen


class _Clock:
    """Takes the processor time of each test, and says to coverage which one runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.cpu_s: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.measured.switch_context(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.cpu_s[item.nodeid] = round(time.process_time() - begun, 4)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def _lines(measured: coverage.Coverage) -> dict[str, dict[int, list[str]]]:
    data = measured.get_data()
    return {
        str(Path(file).relative_to(ROOT)): {
            line: [test for test in tests if test]
            for line, tests in data.contexts_by_lineno(file).items()
            if any(tests)
        }
        for file in data.measured_files()
    }


def main(folder: Path, target: str, tests: list[str]) -> int:
    """Writes covering.json into the folder. Returns pytest's exit code; 1 if there is nothing to go by."""
    measured = coverage.Coverage(data_file=None, source=[target], config_file=False)
    clock = _Clock(measured)
    measured.start()
    code = pytest.main(["-q", "-n0", "-p", "no:cacheprovider", "--no-header", *tests], plugins=[clock])
    measured.stop()
    own = {"millmark", "tests", "conftest"}
    foreign = sorted(name for name in sys.modules if name.split(".")[0] not in own and not name.startswith("test_"))
    if code == pytest.ExitCode.OK:
        Covering(_lines(measured), clock.cpu_s, foreign).write(folder)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
