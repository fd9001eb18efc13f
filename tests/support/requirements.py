"""The locks of scripts/, the requirements of each locked package by its own metadata, and environments to evaluate them
in."""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: Mapping[str, list[str]] = PROJECT["optional-dependencies"]
METADATA: Mapping[str, Mapping[str, Any]] = json.loads((SCRIPTS / "requirements.json").read_text())
"""Maps `NAME==VERSION` to the members `python` and `requires` of its metadata. Written by scripts/lock."""

LOCKS: Mapping[str, list[str]] = {
    "demo": ["devchain", "web3"],
    "dev": list(EXTRAS),
    "image": ["devchain", "postgres", "opcua"],
    "lowest": list(EXTRAS),
}
"""Maps each lock to the extras that it includes."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS: Mapping[str, Mapping[str, str]] = {
    "linux": {"platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "darwin": {"platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win32": {"platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}
NOT_LOCKED = re.compile("torch|triton|nvidia-.*|cuda-.*")
"""torch, which has a separate build for each platform, and the dependencies of its Linux builds."""

Environment = dict[str, str]


def build_environment(python: str, platform: str) -> Environment:
    """CPython on a platform, as environment markers see it."""
    versions = {"python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0"}
    kind = {"implementation_name": "cpython", "platform_python_implementation": "CPython", "sys_platform": platform}
    return {**default_environment(), **versions, **kind, **PLATFORMS[platform]}  # type: ignore[dict-item]  # all are str


def read_lock(kind: str, environment: Environment) -> dict[str, str]:
    """The version of each package that pip installs from a lock in that environment."""
    lines = re.findall(r"^([a-z0-9][^\\\n]*)", (SCRIPTS / f"requirements-{kind}.lock").read_text(), re.MULTILINE)
    pins = [Requirement(line) for line in lines]
    wanted = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    versions = {pin.name: next(iter(pin.specifier)).version for pin in wanted}
    assert len(versions) == len(wanted), "a package comes up in two versions"
    return versions


def read_roots(extras: Iterable[str]) -> list[Requirement]:
    """The project's own requirements, with these extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return [Requirement(line) for line in lines]


@dataclass
class Closure:
    """Everything that requirements lead to in one lock and environment, and the errors found on the way."""

    lock: Mapping[str, str]
    environment: Environment
    found: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Maps each package to the extras requested of it; "" for the package itself."""
    gaps: list[str] = field(default_factory=list)

    def add(self, requirements: Iterable[Requirement], because: str) -> None:
        for requirement in requirements:
            name = canonicalize_name(requirement.name)
            self._check(name, requirement, because)
            for extra in ({""} | requirement.extras) - self.found[name]:
                self.found[name].add(extra)
                for pin in self._pins(name):
                    self.add(applying(METADATA[pin]["requires"], self.environment, extra), pin)

    def _check(self, name: str, requirement: Requirement, because: str) -> None:
        if NOT_LOCKED.fullmatch(name):
            return
        if name not in self.lock:
            self.gaps.append(f"{because} needs {requirement}, which is not in the lock")
        elif not requirement.specifier.contains(self.lock[name], prereleases=True):
            self.gaps.append(f"{because} needs {requirement}, and the lock has {self.lock[name]}")
        elif not SpecifierSet(METADATA[f"{name}=={self.lock[name]}"]["python"]).contains(
            self.environment["python_full_version"]
        ):
            self.gaps.append(f"{name} {self.lock[name]} is not for this Python")

    def _pins(self, name: str) -> Iterator[str]:
        """The locked version; for a package that is not locked, each version that was resolved with a lock."""
        if name in self.lock:
            yield f"{name}=={self.lock[name]}"
        elif NOT_LOCKED.fullmatch(name):
            yield from (pin for pin in METADATA if pin.startswith(f"{name}=="))


def close(kind: str, environment: Environment, extras: Iterable[str] | None = None) -> Closure:
    """What is installed from a lock, or for fewer `extras` than it was made with."""
    closure = Closure(read_lock(kind, environment), environment)
    closure.add(read_roots(LOCKS[kind] if extras is None else extras), "millmark")
    return closure


def applying(lines: Iterable[str], environment: Environment, extra: str) -> list[Requirement]:
    """The requirements that apply in an environment if `extra` is requested."""
    requirements = [Requirement(line) for line in lines]
    return [one for one in requirements if one.marker is None or one.marker.evaluate({**environment, "extra": extra})]
