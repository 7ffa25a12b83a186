"""Keeps secrets out of what is written: passwords in addresses, and what the environment names as a token or a key."""

import os
import re
from collections.abc import Mapping

HIDDEN = "***"

SHORTEST = 8
"""Characters of a secret; a shorter value of the environment would be found in any text."""

_NAMED = re.compile(r"(?:TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=://)([^\s/@:'\"]*):([^\s/@'\"]+)@")


def redacted(text: str, *, environment: Mapping[str, str] = os.environ) -> str:
    """Return a text without secrets, each replaced by `***`.

    Args:
        text: what is to be written.
        environment: variables by name; the values of those that are named as secrets are hidden.

    Example:
        >>> redacted("postgresql://ann:s3cret@host/sweeps", environment={})
        'postgresql://ann:***@host/sweeps'
        >>> redacted("hub_token: hf_abcdefgh", environment={"HF_TOKEN": "hf_abcdefgh"})
        'hub_token: ***'
    """
    text = _ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    values = {value for name, value in environment.items() if _NAMED.search(name) and len(value.strip()) >= SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value.strip(), HIDDEN)
    return text
