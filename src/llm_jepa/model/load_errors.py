"""What stops a model or a tokenizer from being loaded, as one sentence: causes that users can mend, in their words."""

import json
import shlex
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from llm_jepa.errors import UserError, nearest
from llm_jepa.model.folder_check import check_model_folder

TROUBLE = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, ImportError, AttributeError),
    *(StrictDataclassError, SafetensorError, struct.error),
)
"""What transformers and the libraries below it raise for files and configs that they cannot read."""

_CAUSES: Mapping[str, str] = {
    "couldn't find them in the cached files": "no such folder here, the hub is not reached, and its local cache lacks it; "
    "check the name and the network, or give a local folder",
    "supported by the bitsandbytes": "bitsandbytes has no 4-bit weights for this device; set `model.lora.four_bit: false`",
    "custom code": "it comes with code of its own; read that, and if you trust it set `model.trust_remote_code: true`",
    "does not recognize this architecture": "its model_type is unknown to this version of transformers; a newer may know it",
    "Unrecognized configuration class": "it is no causal language model, which predicts the next token",
    "instantiate the backend tokenizer": "it has no tokenizer that can be read; name one with `model.tokenizer`",
    "untagged enum": "its tokenizer.json is damaged or made by a newer version of `tokenizers`",
    "deserializing header": "a safetensors file is damaged or not whole; download or copy it again",
    "unpack_from requires": "it is no whole GGUF file; download or copy it again",
    "ignore_mismatched_sizes": "the weights have other shapes than its config.json says; use the files that belong together",
}
"""Words of a library's error, and what they mean for the user."""

_KINDS: Mapping[type[Exception], str] = {
    json.JSONDecodeError: "one of its JSON files is damaged or not whole; download or copy it again",
    UnicodeDecodeError: "one of its text files is not UTF-8; download or copy it again",
    ZeroDivisionError: "a size in its config.json is 0, by which another is divided; correct it",
}
"""Errors whose own words say too little."""

_CONVERT = (
    "its weights are not safetensors but pickle, which can run code when it is read. If you trust the source, convert it: "
    "`{command}`"
)
_CONVERSION = (
    "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
    "[kind.from_pretrained({source}).save_pretrained({target}) for kind in (M, T)]"
)
_PICKLED = ("pytorch_model", "adapter_model")
"""How the names of pickled weights begin; other .bin files of a folder are no weights."""


@contextmanager
def explained(what: str, name: str) -> Iterator[None]:
    """Turn what a library raises for unreadable files into one sentence.

    Args:
        what: "model" or "tokenizer".
        name: where it is read from.
    """
    check_model_folder(Path(name), what)
    try:
        yield
    except Exception as error:
        # `tokenizers` raises plain Exception; any other kind that is not listed is a fault of the program.
        if not isinstance(error, TROUBLE) and type(error) is not Exception:
            raise
        raise UserError(_cannot_load(what, name, error)) from error


def _cannot_load(what: str, name: str, error: Exception) -> str:
    path = Path(name)
    if path.suffix == ".gguf" and not path.is_file():
        return f"model.name: there is no file '{name}'"
    by_words = (cause for words, cause in _CAUSES.items() if words in str(error))
    by_kind = (cause for kind, cause in _KINDS.items() if isinstance(error, kind))
    known = next(by_words, None) or next(by_kind, None)
    return f"cannot load the {what} '{name}': {_misplaced(path, what, error) or known or reason(error)}"


def _misplaced(path: Path, what: str, error: Exception) -> str | None:
    """Return what is wrong with the place itself, if that is what is wrong."""
    if path.is_file() and path.suffix != ".gguf":
        return "it is a file; give the folder that holds it"
    if "Repo id must" in str(error):
        return f"there is no such folder{nearest(path.name, [other.name for other in path.parent.glob('*')])}"
    files = {file.name for file in path.glob("*")}
    if path.is_dir() and not files & ({"config.json"} if what == "model" else {"config.json", "tokenizer.json"}):
        inner = f"; did you mean '{path / 'model'}'?" if (path / "model" / "config.json").exists() else ""
        return f"the folder has no config.json, so it is no Hugging Face model{inner}"
    if "named model.safetensors" in str(error):
        pickled = not files or any(name.startswith(_PICKLED) and name.endswith(".bin") for name in files)
        return _CONVERT.format(command=_conversion(path)) if pickled else "the folder has no weights (model.safetensors)"
    return None


def _conversion(path: Path) -> str:
    """Return a command line that converts pickled weights; a name is quoted for Python and for the shell."""
    source, target = json.dumps(str(path)), json.dumps(f"{path.name}-safetensors")
    return shlex.join(["python", "-c", _CONVERSION.format(source=source, target=target)])


def reason(error: Exception) -> str:
    """Return the first line of an error, and the next where that one only introduces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__} {reason}" if isinstance(error, KeyError) else reason
