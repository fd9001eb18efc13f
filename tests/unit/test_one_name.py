"""The checkout's folders are imported and installed as parts of `millmark`, and under no other name."""

from __future__ import annotations

import importlib
import sys
import tomllib
from types import ModuleType

import millmark
import millmark.client
import millmark.verify
from millmark import ledger
from millmark.ledger import errors
from millmark.services import client
from tests.support.house import ROOT
from tests.support.one_name import find_doubles, list_packages

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_each_package_is_installed() -> None:
    """Setuptools finds none by itself whose folder has another name than it."""
    assert SETUPTOOLS["packages"] == list_packages()


def test_each_file_is_loaded_under_one_name() -> None:
    """All tests together are held to it when they end (tests/conftest.py)."""
    assert find_doubles() == []
    other = ModuleType("ledger.errors")
    other.__file__ = errors.__file__
    assert find_doubles([errors, other]) == ["ledger/errors.py: ledger.errors, millmark.ledger.errors"]
    face = ModuleType("millmark.services.public.client")
    face.__file__ = millmark.client.__file__
    assert find_doubles([face]) == ["services/public/client.py: millmark.services.public.client"]


def test_the_public_face_is_that_of_the_packages_behind_it() -> None:
    for name in millmark.client.__all__:
        assert getattr(millmark.client, name) is getattr(client, name)
    assert set(importlib.import_module("millmark.ledger.verify").__all__) <= set(millmark.verify.__all__)
    assert millmark.verify.verify_bundle is ledger.verify_bundle
    assert millmark.verify.parse_trust is ledger.parse_trust


def test_the_folders_names_are_free_for_others() -> None:
    assert not {"ledger", "quality", "services"} & sys.modules.keys()
