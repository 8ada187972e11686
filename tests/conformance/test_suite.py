"""The MCP conformance suite against the product, and against a fixture on the same transports.

expected.toml lists every check that does not pass, with the reason. It is held both ways: a check
off the list that does not pass fails the test, and so does one on the list that passes.
"""

import contextlib
import json
import os
import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import free_port, http_server, started

EXPECTED = tomllib.loads((Path(__file__).parent / "expected.toml").read_text())
FIXTURE = os.environ["OPENPOLICY_CONFORMANCE_SERVER"]


@dataclass
class Run:
    """One pass of the suite."""

    server: str
    selection: list[str]
    sessions: bool = False

    def __str__(self) -> str:
        return " ".join([self.server, self.selection[-1], *["sessions"] * self.sessions])

    @contextlib.contextmanager
    def address(self):
        if self.server == "product":
            with http_server(*["--http-sessions"] * self.sessions) as address:
                yield address
            return
        bound = f"127.0.0.1:{free_port()}"
        command = [FIXTURE, bound, *["sessions"] * self.sessions]
        with started(command, f"http://{bound}", "/mcp") as address:
            yield address


# A set of requirements is what a version asks of a server, with what was added since and the
# extensions; there is none for 2025-06-18.
OLD = ["--suite", "all", "--spec-version", "2025-06-18"]
MIDDLE = ["--requirements", "2025-11-25"]
NEW = ["--requirements", "2026-07-28"]
RUNS = [
    Run("product", OLD),
    Run("product", MIDDLE),
    Run("product", MIDDLE, sessions=True),
    Run("product", NEW),
    Run("fixture", OLD, sessions=True),
    Run("fixture", MIDDLE, sessions=True),
    Run("fixture", NEW),
]


def suite(*arguments: str) -> subprocess.CompletedProcess:
    modules = os.environ["NODE_FOLDER"]
    return subprocess.run(
        [os.environ["NODE"], f"{modules}/node_modules/.bin/conformance", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


def results(run: Run, folder: Path) -> dict[str, list[dict]]:
    """The checks of every scenario that ran."""
    with run.address() as address:
        ended = suite("server", "--url", f"{address}/mcp", *run.selection, "-o", str(folder))
    assert ended.returncode in (0, 1), ended.stderr + ended.stdout
    found = {}
    for file in folder.glob("server-*/checks.json"):
        name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT.+", file.parent.name)
        found[name[1]] = json.loads(file.read_text())
    assert found, ended.stdout
    return found


def not_passed(checks: list[dict]) -> set[str]:
    """Each check that found something, or did not look, as `STATUS id`."""
    fine = ("SUCCESS", "INFO")
    return {f"{check['status']} {check['id']}" for check in checks if check["status"] not in fine}


def differences(run: Run, folder: Path) -> list[str]:
    """What is not as it is listed."""
    found = results(run, folder)
    listed = {
        entry["scenario"]: set(entry["checks"])
        for entry in EXPECTED["not_passed"]
        if str(run) in entry["runs"]
    }
    wrong = []
    for scenario in sorted(found.keys() | listed.keys()):
        if scenario not in found:
            wrong.append(f"{scenario}: listed, and did not run")
            continue
        seen, expected = not_passed(found[scenario]), listed.get(scenario, set())
        wrong += [f"{scenario}: {check}, and is not listed" for check in sorted(seen - expected)]
        wrong += [f"{scenario}: {check} is listed, and is not so" for check in sorted(expected - seen)]
    counted = sum(len(checks) for checks in found.values())
    print(f"{run}: {len(found)} scenarios, {counted} checks, {len(listed)} scenarios listed")
    for scenario, seen in found.items():
        for check in seen:
            if f"{scenario}: {check['status']} {check['id']}, and is not listed" in wrong:
                wrong.append(f"{scenario}: {check['id']} says {check.get('errorMessage')}")
    return wrong


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_what_does_not_pass_is_what_is_listed(run, tmp_path):
    wrong = differences(run, tmp_path / "first")
    # This scenario gives up on a stream after half a second: on a busy machine it may come late.
    if wrong and all(line.startswith("server-stateless: ") for line in wrong):
        wrong = differences(run, tmp_path / "again")
    assert not wrong, f"{run}:\n" + "\n".join(wrong)


def test_every_scenario_of_the_suite_runs_or_is_named():
    listed = re.findall(r"^  - (\S+) \[", suite("list", "--server").stdout, re.MULTILINE)
    ran = set()
    for run in RUNS:
        if run.selection[0] == "--requirements":
            told = suite("list", *run.selection).stdout
            told = told.split("Client scenarios")[0] + "".join(
                line for line in told.splitlines(keepends=True) if "[server]" in line
            )
            ran |= set(re.findall(r"^ +- (\S+)", told, re.MULTILINE))
    assert ran
    assert sorted(set(listed) - ran) == sorted(EXPECTED["not_run"])


def test_what_passes_without_meaning_passes(tmp_path):
    found = results(RUNS[3], tmp_path)
    for scenario in EXPECTED["empty"]:
        assert not not_passed(found[scenario]), f"{scenario} is listed as passing"


def test_every_entry_has_a_reason_and_a_run():
    known = {str(run) for run in RUNS}
    for entry in EXPECTED["not_passed"]:
        assert entry["reason"] in EXPECTED["reasons"], entry
        assert entry["runs"] and set(entry["runs"]) <= known, entry
        assert entry["checks"], entry
    used = {entry["reason"] for entry in EXPECTED["not_passed"]}
    assert used == EXPECTED["reasons"].keys()
