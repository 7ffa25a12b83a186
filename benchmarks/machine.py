"""What measured figures depend on: the machine, without its name, and the versions of the libraries."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


def machine() -> dict[str, Any]:
    """Return the processor, the number of cores, and the versions of system and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of those of `PACKAGES` that are installed."""
    installed = {item.name for item in metadata.distributions()}
    return {name: metadata.version(name) for name in PACKAGES if name in installed}


def sentence() -> str:
    """Return machine and versions in one sentence."""
    found, libraries = machine(), ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{found['cores']} cores of an {found['cpu']}, one thread, Python {found['python']}, {libraries}"
