"""The audit of dependencies: it fails on what is known, and says so where nothing can be known."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[1] / "tools" / "audit.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("audit_tool", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = load().audit
HOLE = {"id": "CVE-1", "fix_versions": ["2.0"]}
KNOWN = {"dependencies": [{"name": "jinja2", "version": "3.1.2", "vulns": [HOLE]}]}
SKIPPED = {"dependencies": [{"name": "jinja2", "skip_reason": "not found"}]}


def service(probe: Any, all_packages: Any):
    """Return what stands for pip-audit: the first answer to the probe, the second to everything."""
    answers = iter((probe, all_packages))

    def ask(arguments: Sequence[str], seconds: int) -> str:
        answer = next(answers)
        return answer if isinstance(answer, str) else json.dumps(answer)

    return ask


@pytest.mark.parametrize("probe", ["", "no network", SKIPPED, {"dependencies": []}])
def test_without_advisories_it_says_so_and_passes(probe: Any) -> None:
    assert audit(service(probe, KNOWN)) == (0, "audit: no advisories can be had here; the dependencies were not audited")


def test_a_vulnerability_fails_and_names_the_fix() -> None:
    packages = {"dependencies": [{"name": "a", "version": "1", "vulns": [HOLE]}, {"name": "b", "version": "2", "vulns": []}]}
    code, said = audit(service(KNOWN, packages))
    assert code == 1
    assert said == "audit: 1 of 2 packages have known vulnerabilities\n  a 1: CVE-1 (fixed in 2.0)"


def test_what_is_not_on_the_index_is_counted() -> None:
    packages = {
        "dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "torch", "skip_reason": "local version"}]
    }
    assert audit(service(KNOWN, packages)) == (0, "audit: no known vulnerabilities in 1 packages; 1 are not on the index")


def test_an_audit_that_breaks_off_is_none() -> None:
    assert audit(service(KNOWN, "")) == (0, "audit: the advisories stopped coming; the dependencies were not audited")
