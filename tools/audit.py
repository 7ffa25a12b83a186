"""`make check`: known vulnerabilities of the installed packages, by pip-audit; one line where no advisories can be had.

An index without advisories answers like one that knows of none. So a version with known vulnerabilities is asked for first;
only where that one is reported does silence about the others mean anything.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROBE = "jinja2==3.1.2"
"""A version with several published vulnerabilities."""

PATIENCE = 120
"""Seconds for all packages; the probe has a quarter of it."""

Ask = Callable[[Sequence[str], int], str]
"""Runs pip-audit with arguments, for at most so many seconds, and returns its standard output."""


def pip_audit(arguments: Sequence[str], seconds: int) -> str:
    """Return what pip-audit prints; nothing where it took too long."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def audit(ask: Ask = pip_audit) -> tuple[int, str]:
    """Return the exit code and what to say: 1 and the vulnerabilities, or 0."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.txt"
        probe.write_text(PROBE + "\n")
        known = _found(ask(["--requirement", str(probe), "--no-deps", "--disable-pip"], PATIENCE // 4))
    if not any(package.get("vulns") for package in known):
        return 0, "audit: no advisories can be had here; the dependencies were not audited"
    packages = _found(ask(["--skip-editable", "--local"], PATIENCE))
    if not packages:
        return 0, "audit: the advisories stopped coming; the dependencies were not audited"
    bad = [f"  {package['name']} {package['version']}: {_told(package)}" for package in packages if package.get("vulns")]
    audited = sum("vulns" in package for package in packages)
    if bad:
        return 1, "\n".join([f"audit: {len(bad)} of {audited} packages have known vulnerabilities", *bad])
    left = len(packages) - audited
    return 0, f"audit: no known vulnerabilities in {audited} packages{f'; {left} are not on the index' if left else ''}"


def _found(said: str) -> list[dict[str, Any]]:
    """Return the packages that pip-audit tells of; none where it failed."""
    try:
        return json.loads(said)["dependencies"]
    except (ValueError, KeyError):
        return []


def _told(package: dict[str, Any]) -> str:
    return ", ".join(
        f"{each['id']} (fixed in {', '.join(each['fix_versions']) or 'no version yet'})" for each in package["vulns"]
    )


if __name__ == "__main__":
    code, line = audit()
    sys.stdout.write(line + "\n")
    sys.exit(code)
