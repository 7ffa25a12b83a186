"""Answer every example, keeping what is finished in a file, so that an interrupted run continues.

How an answer comes about is the `Answerer`'s affair, and scores are made from the predictions elsewhere. The file knows the
examples, not the model: one folder is for one model and one way of answering.

Several processes share the batches, each of which is composed as one process composes it, so that the file is the same, byte
for byte. They take turns: a batch each, and then the first process writes all of them.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from llm_jepa.durable import put
from llm_jepa.errors import UserError
from llm_jepa.evaluation.answerer import Answerer, EvaluationItem, Item
from llm_jepa.evaluation.generate import longest_first
from llm_jepa.ranks import first_decides, gathered, processes
from llm_jepa.records import Prediction

PREDICTIONS = "predictions.jsonl"
_KINDS = {"name": str, "prompt": str, "expected": str, "generated": str, "stopped": bool, "tokens": int}
_LIKELIHOODS = "likelihoods"


def evaluate(
    answerer: Answerer[Item],
    items: Sequence[Item],
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: bool = False,
) -> list[Prediction]:
    """Answer every item and return the predictions in the order of the items, in every process all of them.

    With a folder, each batch is on disk before the next begins, and the same call continues after an interruption:
    only batches with an unfinished example are answered, in the same composition, so that the file ends with the same
    bytes as without the interruption. At the end it is put into the order of the items.

    Args:
        answerer: what answers a batch. The longest items come first, so a batch too large for the memory fails at once.
        items: the examples.
        folder: holds `predictions.jsonl`; made if missing. None writes nothing.
        progress: called at the start and after each batch of every process with the numbers of finished and of all
            examples; in all processes alike.
        together: all processes answer the same batches, because the weights of the model are spread over them.

    Raises:
        UserError: an item cannot be answered, or the folder's file belongs to other examples or is damaged.
        ValueError: two items have the same name.
    """
    by_name = {item.name: item for item in items}
    if len(by_name) < len(items):
        raise ValueError(f"two items have the same name: {_first_repeated(item.name for item in items)!r}")
    answerer.check(items)
    writes = folder is not None and processes().is_main_process
    done = {} if folder is None else first_decides(lambda: _resume(folder, by_name))
    _report(progress, done, items)
    for group in _turns(_unfinished(answerer, items, done), together=together):
        fresh = [prediction for prediction in _answered(answerer, group) if prediction.name not in done]
        if folder is not None and writes:
            _append(folder / PREDICTIONS, fresh)
        done.update((prediction.name, prediction) for prediction in fresh)
        _report(progress, done, items)
    ordered = [done[item.name] for item in items]
    if folder is not None and writes:
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
    remedy = "remove the line and run the evaluation again"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: no JSON object ({error}); {remedy}") from None
    likelihoods = row.pop(_LIKELIHOODS, {}) if isinstance(row, dict) else {}
    if not isinstance(row, dict) or {key: type(value) for key, value in row.items()} != _KINDS:
        raise UserError(f"{where}: no prediction (it has {', '.join(_KINDS)}); {remedy}")
    if not isinstance(likelihoods, dict) or any(type(value) is not float for value in likelihoods.values()):
        raise UserError(f"{where}: '{_LIKELIHOODS}' gives each choice's log-likelihood by its name; {remedy}")
    return Prediction(**row, likelihoods=likelihoods)


def _line(prediction: Prediction) -> bytes:
    row = asdict(prediction)
    if not row[_LIKELIHOODS]:
        del row[_LIKELIHOODS]
    # "backslashreplace" writes a lone surrogate as the JSON escape that reads back as itself.
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _unfinished(answerer: Answerer[Item], items: Sequence[Item], done: Mapping[str, Prediction]) -> list[list[Item]]:
    """Return every batch that is not wholly finished, longest items first.

    A batch is answered whole even if a kill left part of it in the file: in another company an example is padded and
    rounded differently.
    """
    batches = longest_first([answerer.length(item) for item in items], answerer.batch_size)
    return [[items[i] for i in batch] for batch in batches if any(items[i].name not in done for i in batch)]


def _turns(batches: Sequence[list[Item]], *, together: bool) -> list[list[list[Item]]]:
    """Return the batches in groups that are answered at a time: one for every process, or one for all together."""
    size = 1 if together else processes().num_processes
    return [list(batches[start : start + size]) for start in range(0, len(batches), size)]


def _answered(answerer: Answerer[Item], group: Sequence[list[Item]]) -> list[Prediction]:
    """Return the predictions of a group; where there is one batch for all, every process has made the same."""
    if len(group) == 1:
        return answerer.answer(group[0])
    rank = processes().process_index
    return gathered(answerer.answer(group[rank]) if rank < len(group) else [])


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
    if path.is_symlink():
        raise UserError(f"{path}: it is a link, and answers are only added to an evaluation's own file; remove it")
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
        reason = f"'{prediction.name}' was answered for another prompt"
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
    put(draft, path)


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))
