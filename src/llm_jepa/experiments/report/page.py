"""What all pages share: templates that escape, the filters they use, and files that are whole or not there.

A page needs nothing but itself: no network, no script, no font (`page.css.jinja` is put into it). What users and models
wrote is escaped, and a content security policy forbids the page to load anything even if something slipped through.
"""

import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from llm_jepa.durable import write
from llm_jepa.errors import UserError

_INSEPARABLE = re.compile(r"(?<=\d) (?=%|points|seed|example)|(?<==) (?=\d)|(?<=&[lg]t;) (?=\d)|(?<=\bp) (?==|&[lg]t;)")
"""The spaces, in escaped text, at which no line is broken."""


def templates() -> Environment:
    """Return the templates of the pages; those of HTML escape what they show, those of Markdown by `md` and `fence`."""
    environment = Environment(
        loader=PackageLoader("llm_jepa", "experiments/templates"),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(drawing=Markup, unbroken=_unbroken, md=_markdown, fence=_fence, breakable=_breakable)
    return environment


def write_page(path: Path, text: str) -> None:
    """Write a file of a page whole or not at all, and make its folder if that is missing.

    Raises:
        UserError: a part of the path is a file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError) as error:
        raise UserError(f"output: '{path.parent}' is no folder and cannot become one; give another") from error
    write(path, text)


def _unbroken(text: str) -> Markup:
    """Escaped text whose numbers keep their unit on the line."""
    return Markup(_INSEPARABLE.sub("\u00a0", str(escape(text))))


def _breakable(text: str) -> Markup:
    """Escaped text whose lines may also break behind a slash, as paths do."""
    return Markup(str(escape(text)).replace("/", "/<wbr>"))


def _markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line: "a|b" -> "a\|b"."""
    return re.sub(r"([\\`*_\[\]<>|~&$#+])", r"\\\1", " ".join(text.split()))


def _fence(text: str) -> str:
    """A code block with a fence longer than any in the text."""
    ticks = "`" * (1 + max([2, *(len(run) for run in re.findall(r"`+", text))]))
    return f"{ticks}text\n{text}\n{ticks}"
