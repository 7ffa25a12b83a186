"""What differs between model families, as data: one row each, nothing else in the code asks for a family by name."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts on a family of models.

    Attributes:
        name: what it is called here.
        pattern: regular expression that a hub id or folder of the family contains, small letters.
        last_token: where the official code reads an embedding, counted from the end of the rendered view (-1 is its last
            token); found in the comments of its launch script, one number a family.
    """

    name: str
    pattern: str
    last_token: int


FAMILIES = (
    Family(name="deepseek-r1", pattern=r"deepseek-r1", last_token=-1),
    Family(name="llama-3", pattern=r"llama-3", last_token=-2),
    Family(name="gemma", pattern=r"gemma", last_token=-2),
    Family(name="openelm", pattern=r"openelm", last_token=-4),
    Family(name="olmo-2", pattern=r"olmo-2", last_token=-1),
    Family(name="qwen", pattern=r"qwen", last_token=-3),
)


def family_of(name: str) -> Family | None:
    """Return the family that a hub id or path names, the first that fits.

    Example:
        >>> family_of("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B").name, family_of("gpt2")
        ('deepseek-r1', None)
    """
    return next((family for family in FAMILIES if re.search(family.pattern, name.lower())), None)
