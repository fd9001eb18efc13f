"""contracts/tools/solc answers like a native solc, and steps aside for one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import solcx
from solcx.exceptions import SolcError, UnknownOption

from tests.support import toolchain

pytestmark = pytest.mark.contracts

FRONT = toolchain.PROJECT / "tools" / "solc"
PINNED = json.loads((toolchain.PROJECT / "package.json").read_text())["devDependencies"]["solc"]
SOURCE = "// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.37;\ncontract A { uint256 public x; }\n"


@pytest.fixture(autouse=True)
def ignore_native_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front chosen as the native compiler means: use none."""
    monkeypatch.setenv("MILLMARK_SOLC", str(FRONT))


def run_front(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    return subprocess.run([FRONT, *arguments], input=stdin, env=variables, capture_output=True, text=True, check=False)


def standard_input(*outputs: str, **source: object) -> dict[str, object]:
    return {
        "language": "Solidity",
        "sources": {"A.sol": source},
        "settings": {"outputSelection": {"*": {"*": list(outputs), "": ["ast"]}}},
    }


def write_script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_version_has_the_native_form() -> None:
    assert str(solcx.wrapper.get_solc_version(FRONT)) == PINNED
    assert run_front("--version").stdout.endswith(".Linux.g++\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "choose --standard-json"),
        (("--gas", "A.sol"), "unrecognised option '--gas'"),
        (("-o", "out"), "unrecognised option '-o'"),
        (("--combined-json", "abi"), "no input files"),
        (("--combined-json", "abi,nonsense", "A.sol"), "nonsense"),
        (("--combined-json",), "required argument"),
        (("--combined-json", "abi", "absent.sol"), "absent.sol"),
        (("--standard-json", "a.json", "b.json"), "at most one"),
        (("--standard-json", "absent.json"), "absent.json"),
    ],
)
def test_unusable_command_lines_fail_loudly(arguments: tuple[str, ...], complaint: str) -> None:
    done = run_front(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert complaint in done.stderr


def test_standard_json_reports_errors_and_exits_0() -> None:
    done = run_front("--standard-json", stdin=json.dumps(standard_input("abi", content="contract {")))
    assert done.returncode == 0
    assert json.loads(done.stdout)["errors"][0]["severity"] == "error"


def test_long_output_reaches_a_slow_reader_whole(tmp_path: Path) -> None:
    source = SOURCE + "".join(f"contract B{number} is A {{}}\n" for number in range(200))
    request = tmp_path / "request.json"
    request.write_text(json.dumps(standard_input("*", content=source)))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # as under an event loop: a full pipe refuses instead of waiting
    with (
        subprocess.Popen([FRONT, "--standard-json", request], stdout=writer) as process,
        os.fdopen(reader, "rb") as pipe,
    ):
        os.close(writer)
        time.sleep(2)
        output = pipe.read()
    assert process.returncode == 0
    assert len(output) > 1_000_000
    assert len(json.loads(output)["contracts"]["A.sol"]) == 201


def test_imports_stay_under_the_allowed_folders(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "Secret.sol").write_text(SOURCE)
    (inside / "Link.sol").symlink_to(outside / "Secret.sol")
    for name in ("Link.sol", "../outside/Secret.sol", str(outside / "Secret.sol")):
        request = {**standard_input("abi"), "sources": {"Main.sol": {"urls": [name]}}}
        with pytest.raises(SolcError, match="outside of allowed"):
            solcx.compile_standard(request, solc_binary=FRONT, base_path=inside)
        assert solcx.compile_standard(request, solc_binary=FRONT, base_path=inside, allow_paths=outside)["contracts"]


def test_combined_json_equals_standard_json(tmp_path: Path) -> None:
    file = tmp_path / "A.sol"
    file.write_text(SOURCE)
    wanted = ["abi", "bin", "bin-runtime", "srcmap", "hashes", "ast"]
    combined = solcx.compile_files([file], output_values=wanted, solc_binary=FRONT, base_path=tmp_path)["A.sol:A"]
    answer = solcx.compile_standard(standard_input("*", content=SOURCE), solc_binary=FRONT)
    standard = answer["contracts"]["A.sol"]["A"]
    assert combined["abi"] == standard["abi"]
    assert combined["bin"] == standard["evm"]["bytecode"]["object"]
    assert combined["bin-runtime"] == standard["evm"]["deployedBytecode"]["object"]
    assert combined["hashes"] == standard["evm"]["methodIdentifiers"]
    assert combined["ast"] == answer["sources"]["A.sol"]["ast"]


def test_source_text_compiles_and_unknown_options_are_recognised() -> None:
    assert solcx.compile_source(SOURCE, output_values=["bin"], solc_binary=FRONT)["<stdin>:A"]["bin"]
    with pytest.raises(UnknownOption):
        solcx.compile_source(SOURCE, output_values=["bin"], solc_binary=FRONT, gas=True)


def test_chosen_native_compiler_gets_the_same_arguments(tmp_path: Path) -> None:
    answer = f'[ "$1" = --version ] && echo "Version: {PINNED}+commit.00000000" && exit 0'
    native = write_script(tmp_path / "native", f'{answer}\necho "$*"\ncat\nexit 7')
    done = run_front("--standard-json", "--base-path", "/x", stdin="input", MILLMARK_SOLC=str(native))
    assert done.returncode == 7
    assert done.stdout == "--standard-json --base-path /x\ninput"


def test_wrong_chosen_compiler_is_an_error(tmp_path: Path) -> None:
    old = write_script(tmp_path / "old", 'echo "Version: 0.8.1+commit.00000000"')
    for chosen in (str(old), str(tmp_path / "absent")):
        done = run_front("--version", MILLMARK_SOLC=chosen)
        assert done.returncode == 1
        assert f"is not solc {PINNED}" in done.stderr


def test_scripts_on_the_path_are_passed_over(tmp_path: Path) -> None:
    """Another copy of this front, or a version manager that would start a download."""
    marker = tmp_path / "called"
    write_script(tmp_path / "solc", f"touch {marker}")
    (tmp_path / f"solc-{PINNED}").symlink_to(FRONT)
    done = run_front("--version", MILLMARK_SOLC="", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0
    assert not marker.exists()
