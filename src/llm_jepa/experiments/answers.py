"""How the answers to a source are made and judged: its task decides, unless the evaluation's settings do."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llm_jepa.evaluation.answerer import Answerer, Greedy
from llm_jepa.evaluation.choice import Choosing
from llm_jepa.experiments.experiment import NL_REGEX, Evaluation
from llm_jepa.model.export import stop_ids
from llm_jepa.model.parts import core, input_embedding
from llm_jepa.scoring.choice import ChoiceScorer
from llm_jepa.scoring.regex import RegexScorer
from llm_jepa.scoring.scorer import Scorer
from llm_jepa.scoring.text import TextScorer
from llm_jepa.tasks.registry import find_task
from llm_jepa.views.special import eos_id, pad_id
from llm_jepa.views.tokenize import Sample, Tokenizer

MAX_NEW_TOKENS = 128
"""Room for an answer to data that belong to no task, in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the answers.

    Attributes:
        stop_ids: any of these tokens ends an answer.
        max_new_tokens: longest answer, in tokens, its stop token included.
        batch_size: answers made at a time.
    """

    stop_ids: Sequence[int]
    max_new_tokens: int
    batch_size: int


def scorer_of(source: str, evaluation: Evaluation, *, folder: Path) -> Scorer:
    """Return what judges the answers to a source.

    Args:
        source: what `Data` names: a task, or anything else.
        evaluation: its scorer, if it names one, comes first.
        folder: where the files of tasks lie.

    Raises:
        UserError: what the task's scorer needs is damaged.
    """
    if evaluation.scorer is not None:
        return evaluation.scorer
    if source == NL_REGEX:
        return RegexScorer()
    task = find_task(source)
    return TextScorer() if task is None else task.scorer(folder)


def answer_limit(source: str, evaluation: Evaluation) -> int:
    """Return the longest answer to a source, in tokens: the evaluation's limit, or the task's, or the common one."""
    if evaluation.max_new_tokens is not None:
        return evaluation.max_new_tokens
    task = find_task(source)
    return MAX_NEW_TOKENS if task is None else task.max_new_tokens


def chooses(scorer: Scorer) -> bool:
    """Return whether answers are chosen by likelihood: the scorer reads nothing else. All others read generated text."""
    return isinstance(scorer, ChoiceScorer)


def answerer(model: nn.Module, tokenizer: Tokenizer, scorer: Scorer, limits: Limits) -> Answerer:
    """Return what answers with a model of transformers, wrapped or not, in the way that the scorer reads."""
    hub, known = tokenizer.tokenizer, input_embedding(core(model)).num_embeddings
    pad = pad_id(hub) if pad_id(hub) < known else eos_id(hub)
    if chooses(scorer):
        return Choosing(model=model, pad_id=pad, batch_size=limits.batch_size)
    return Greedy(
        model=model,
        decode=decoder(hub),
        stop_ids=limits.stop_ids,
        pad_id=pad,
        max_new_tokens=limits.max_new_tokens,
        batch_size=limits.batch_size,
    )


def decoder(hub: PreTrainedTokenizerBase) -> Callable[[Sequence[int]], str]:
    """Return what turns generated token ids into text, special tokens left out and spaces as they are."""
    return lambda ids: str(hub.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def stops(model: PreTrainedModel, tokenizer: Tokenizer, samples: Iterable[Sample]) -> tuple[int, ...]:
    """Return every token that ends an answer: the tokenizer's, the generation config's, and those that close the samples."""
    return stop_ids(tokenizer.tokenizer, model, {sample.sequences[-1].stop for sample in samples})
