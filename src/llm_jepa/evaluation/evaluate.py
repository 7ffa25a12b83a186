"""Generate an answer for every example, keeping what is finished in a file, so that an interrupted run continues.

Scores are made from the predictions elsewhere. The file knows the examples, not the model: one folder is for one model
and one set of generation arguments.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path

from torch import nn

from llm_jepa.errors import UserError
from llm_jepa.evaluation.generate import Generation, check_prompts, generate, longest_first
from llm_jepa.records import Prediction

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationItem:
    """One example, ready to be generated for.

    Attributes:
        name: the example's name, unique among the items.
        prompt: the text given to the model, template included; it is only recorded.
        prompt_ids: the token ids of the prompt.
        expected: the reference answer; it is only recorded.
    """

    name: str
    prompt: str
    prompt_ids: tuple[int, ...]
    expected: str


def evaluate(  # noqa: PLR0913 - generate's arguments, and where the results go
    model: nn.Module,
    items: Sequence[EvaluationItem],
    *,
    decode: Callable[[Sequence[int]], str],
    stop_ids: Collection[int],
    pad_id: int,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Generate for every item and return the predictions in the order of the items.

    With a folder, each batch is on disk before the next begins, and the same call continues after an interruption:
    only batches with an unfinished example are generated, in the same composition, so that the file ends with the same
    bytes as without the interruption. At the end it is put into the order of the items.

    Args:
        model: a causal language model of transformers, or peft's wrapper around one.
        items: the examples.
        decode: turns generated token ids, without the stop token, into text.
        stop_ids: any of these ends a generation.
        pad_id: fills up shorter prompts and is masked.
        max_new_tokens: most tokens generated for one example, the stop token included.
        batch_size: examples generated for together.
        folder: holds `predictions.jsonl`; made if missing. None writes nothing.
        progress: called at the start and after each batch with the numbers of finished and of all examples.

    Raises:
        UserError: a prompt is empty or too long, or the folder's file belongs to other examples or is damaged.
        ValueError: two items have the same name.
    """
    by_name = {item.name: item for item in items}
    if len(by_name) < len(items):
        raise ValueError(f"two items have the same name: {_first_repeated(item.name for item in items)!r}")
    check_prompts(model, {item.name: item.prompt_ids for item in items}, max_new_tokens=max_new_tokens)
    done = {} if folder is None else _resume(folder, by_name)
    todo = _unfinished(items, done, batch_size)
    stream = generate(
        model,
        [item.prompt_ids for item in todo],
        stop_ids=stop_ids,
        pad_id=pad_id,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    _report(progress, done, items)
    while batch := list(islice(stream, batch_size)):
        made = [_prediction(todo[index], generation, decode) for index, generation in batch]
        fresh = [prediction for prediction in made if prediction.name not in done]
        if folder is not None:
            _append(folder / PREDICTIONS, fresh)
        done.update((prediction.name, prediction) for prediction in fresh)
        _report(progress, done, items)
    ordered = [done[item.name] for item in items]
    if folder is not None:
        _replace(folder / PREDICTIONS, ordered)
    return ordered


def read_predictions(path: Path) -> list[Prediction]:
    """Read a file of predictions, one JSON object a line.

    Raises:
        UserError: there is no such file, or a line is no complete prediction; the message begins with file and line.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the evaluation that writes it first") from None
    return _parse_all(data, path)


def _parse_all(data: bytes, path: Path) -> list[Prediction]:
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _parse(line: bytes, where: str) -> Prediction:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: no JSON object ({error}); remove the line and run the evaluation again") from None
    kinds = {field.name: field.type for field in fields(Prediction)}
    if not isinstance(row, dict) or {key: type(value) for key, value in row.items()} != kinds:
        wanted = ", ".join(kinds)
        raise UserError(f"{where}: no prediction (it has {wanted}); remove the line and run the evaluation again")
    return Prediction(**row)


def _line(prediction: Prediction) -> bytes:
    # "backslashreplace" writes a lone surrogate as the JSON escape that reads back as itself.
    return (json.dumps(asdict(prediction), ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _prediction(item: EvaluationItem, generation: Generation, decode: Callable[[Sequence[int]], str]) -> Prediction:
    return Prediction(
        name=item.name,
        prompt=item.prompt,
        expected=item.expected,
        generated=decode(generation.tokens),
        stopped=generation.stopped,
        tokens=generation.length,
    )


def _unfinished(items: Sequence[EvaluationItem], done: Mapping[str, Prediction], batch_size: int) -> list[EvaluationItem]:
    """Return the items of every batch that is not wholly finished.

    A batch is generated whole even if a kill left part of it in the file: in another company an example is padded and
    rounded differently. As all batches but the last are full, `generate` divides what remains in the same way.
    """
    batches = longest_first([len(item.prompt_ids) for item in items], batch_size)
    return [items[i] for batch in batches if any(items[j].name not in done for j in batch) for i in batch]


def _report(
    progress: Callable[[int, int], None] | None, done: Mapping[str, Prediction], items: Sequence[EvaluationItem]
) -> None:
    if progress is not None:
        progress(len(done), len(items))


def _resume(folder: Path, by_name: Mapping[str, EvaluationItem]) -> dict[str, Prediction]:
    """Return the finished predictions in the folder's file, and cut off a last line that a kill tore.

    A file that is refused is left as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PREDICTIONS
    if not path.exists():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    predictions = _parse_all(whole, path)
    for number, prediction in enumerate(predictions, start=1):
        _check_belongs(prediction, by_name, f"{path}:{number}")
    os.truncate(path, len(whole))
    return {prediction.name: prediction for prediction in predictions}


def _check_belongs(prediction: Prediction, by_name: Mapping[str, EvaluationItem], where: str) -> None:
    item = by_name.get(prediction.name)
    if item is None:
        reason = f"'{prediction.name}' is not among the examples to evaluate"
    elif prediction.prompt != item.prompt:
        reason = f"'{prediction.name}' was generated for another prompt"
    elif prediction.expected != item.expected:
        reason = f"'{prediction.name}' has another expected answer"
    else:
        return
    raise UserError(f"{where}: {reason}: the file belongs to another evaluation; give another folder or move the file")


def _append(path: Path, predictions: Sequence[Prediction]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(map(_line, predictions)))
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write the whole file beside the old one and put it in its place, so that no moment shows half of it."""
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)
    _append(draft, predictions)
    os.replace(draft, path)


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))
