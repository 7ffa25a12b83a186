"""YAML from people and from run folders: plain values only, and what is wrong with it is one sentence with file and line.

The library alone would run out of time or stack on an anchor that unfolds without end or holds itself, and would keep the
last of two equal keys without a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from llm_jepa.errors import UserError, nearest, shown

MOST = 100_000
"""Values that a file may hold, those that its anchors repeat included; the longest config in use has about a hundred."""
DEEPEST = 50
"""Levels that values may be nested."""
LONGEST_NUMBER = 300
"""Digits of a whole number; beyond 308 it is no number for a computer's arithmetic any more."""
_INTEGER = "tag:yaml.org,2002:int"


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: mappings, lists, texts, numbers, truth values, dates and None.

    Raises:
        UserError: the file is not there, cannot be read, is not UTF-8 or no YAML; the sentence begins with its path.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        there = (other.name for other in path.parent.glob("*") if other.is_file())
        raise UserError(f"{path}: no such file{nearest(path.name, there) or '; check the path'}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = f"0x{error.object[error.start]:02x}"
        raise UserError(f"{path}:{line}: byte {byte} is not UTF-8; save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read ({what}); give a YAML file") from None
    return parse_yaml(text, str(path))


def read_mapping(path: Path) -> dict[Any, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        UserError: as `read_yaml`, or it holds something else; the sentence begins with its path.
    """
    return mapping(read_yaml(path), str(path))


def mapping(found: Any, where: str) -> dict[Any, Any]:
    """Return what a YAML text says where that is a mapping; `where` opens the sentence where it is not.

    Raises:
        UserError: it is none.
    """
    if isinstance(found, dict):
        return found
    what = "nothing" if found is None else "a list" if isinstance(found, list) else "a single value"
    raise UserError(f"{where}: holds {what}, where fields are wanted; write them as `output: runs/mine`, one a line")


def parse_yaml(text: str, where: str) -> Any:
    """Return what a YAML text says.

    Args:
        text: the text.
        where: its file, or what else the user knows it by; opens every sentence.

    Raises:
        UserError: it is no YAML, names a key twice, or asks for objects of Python; or its anchors unfold beyond `MOST`
            values or hold themselves.

    Example:
        >>> parse_yaml("{k: 2, weights: [0.5, 1]}", "--arms")
        {'k': 2, 'weights': [0.5, 1]}
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _Scale(where).weigh(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise UserError(f"{where}:{line}: no YAML ({_line(error.problem)}); correct it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where}: no YAML ({_line(str(error))}); correct it") from None
    except RecursionError:
        raise UserError(f"{where}: {_TOO_DEEP}") from None


def _line(said: str | None) -> str:
    return " ".join((said or "").split())[:200]


_TOO_DEEP = f"values are nested deeper than {DEEPEST} levels; write them flatter"


@dataclass(slots=True)
class _Scale:
    """Counts what a file would unfold to, without unfolding it.

    Attributes:
        where: the file.
        known: number of values by the identity of a node.
        open: the nodes around the one that is counted.
    """

    where: str
    known: dict[int, int] = field(default_factory=dict[int, int])
    open: set[int] = field(default_factory=set[int])

    def weigh(self, node: yaml.Node) -> int:
        """Return the number of values in a node, itself included."""
        if id(node) in self.known:
            return self.known[id(node)]
        place = f"{self.where}:{node.start_mark.line + 1}"
        if id(node) in self.open:
            raise UserError(f"{place}: an anchor (&) holds itself; write out what it stands for")
        if len(self.open) >= DEEPEST:
            raise UserError(f"{place}: {_TOO_DEEP}")
        if node.tag == _INTEGER and len(node.value) > LONGEST_NUMBER:
            raise UserError(f"{place}: a number has {len(node.value)} digits; write one of at most {LONGEST_NUMBER}")
        self.open.add(id(node))
        total = 1 + sum(map(self.weigh, self._inside(node)))
        self.open.remove(id(node))
        if total > MOST:
            raise UserError(f"{place}: anchors (&, *) unfold to more than {MOST:,} values; write out what they stand for")
        self.known[id(node)] = total
        return total

    def _inside(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    line = key.start_mark.line + 1
                    raise UserError(f"{self.where}:{line}: the key {shown(key.value)!r} is there twice; keep one of the two")
                seen.update([key.value] if isinstance(key, yaml.ScalarNode) else [])
                yield key
                yield value
