"""What scripts/prove has a solver prove: each property has its mutant, each mutant changes the contracts of today."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.proofs import properties
from tests.proofs.properties import PROPERTIES, Mutant, Property
from tests.support.toolchain import PROJECT

SOURCES = {path.name: path.read_text() for path in sorted((PROJECT / properties.PROOFS).glob("*.sol"))}
CHECKS = {
    (contract, check)
    for text in SOURCES.values()
    for contract, body in re.findall(r"^contract (\w+) is \w*World \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    for check in re.findall(r"function (check_\w+)\(", body)
}


def test_every_property_has_one_mutant() -> None:
    named = Counter((one.contract, one.check) for one in PROPERTIES)
    assert set(named) == CHECKS
    assert max(named.values()) == 1
    assert len({one.check for one in PROPERTIES}) == len(PROPERTIES) >= 10


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.check)
def test_a_mutant_changes_one_place_of_the_contracts(one: Property) -> None:
    source = (PROJECT / "src" / one.mutant.file).read_text()
    assert one.mutant.apply(source) != source
    assert one.mutant.breaks


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.check)
def test_a_property_states_its_bounds(one: Property) -> None:
    text = SOURCES[properties.find_file(one.contract)]
    comment = text.partition(f"function {one.check}(")[0].rpartition("}\n")[2].rpartition(";\n")[2]
    assert "/// @notice" in comment
    assert "/// @dev Bounds: " in comment
    assert properties.bounds_of(one)


def test_what_does_not_occur_once_is_no_mutant() -> None:
    mutant = Mutant("Council.sol", "a", "b", "nothing")
    for source in ("", "aa"):
        with pytest.raises(ValueError, match="not once"):
            mutant.apply(source)


def test_an_unknown_property_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert properties.main(["check_nothing"]) == 2
    assert "check_nothing" in capsys.readouterr().err
