"""Write docs/map.md: every file of the package with the first sentence of its own docstring. `make map` calls it."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "src/llm_jepa"
PAGE = PROJECT / "docs/map.md"
HEAD = """# Map of the files

Every file of `src/llm_jepa/`, with the first sentence of its docstring. A package imports only those above it in the list
of the [README](../README.md#map). `make map` writes this page.
"""


def sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, or what a template is for."""
    if path.suffix != ".py":
        return {".typed": "tells type checkers that the package is annotated"}.get(path.suffix, "a page's template")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = re.split(r"(?<=[.?!])\s", " ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]
    return first.replace("|", "\\|")


def page() -> str:
    """Return the text of the page."""
    files = [path for path in sorted(SOURCE.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    parts = [HEAD]
    for folder in sorted({path.parent for path in files}):
        name = folder.relative_to(SOURCE).as_posix()
        parts.append(f"\n## {'llm_jepa' if name == '.' else name}\n\n| file | what it is |\n|---|---|\n")
        parts += [f"| `{path.name}` | {sentence(path)} |\n" for path in files if path.parent == folder]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
