"""Choosing by likelihood against a plain loop, one choice at a time."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tests.helpers import packed_model, plain_model, word_tokenizer
from torch import nn
from transformers import PreTrainedModel

from llm_jepa.errors import UserError
from llm_jepa.evaluation.choice import ChoiceItem, Choosing, Continuation, choice_items, log_likelihoods
from llm_jepa.evaluation.evaluate import evaluate, read_predictions
from llm_jepa.model.tokenizer import train_tokenizer
from llm_jepa.records import Example, Message
from llm_jepa.views.chat import plain_template
from llm_jepa.views.tokenize import Tokenizer

PAD = 0
FAMILIES = {"llama": "sdpa", "gemma2": "eager", "qwen3": "eager", "gpt2": "sdpa", "bloom": "eager", "mamba": "eager"}


def draw(lengths: Sequence[tuple[int, int]], *, seed: int = 4) -> list[Continuation]:
    """Return random continuations by the lengths of context and ids."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(1, 64, (context + own,), generator=generator).tolist() for context, own in lengths]
    return [
        Continuation(context=tuple(row[:context]), ids=tuple(row[context:]))
        for row, (context, _) in zip(ids, lengths, strict=True)
    ]


CHOICES = draw([(5, 1), (1, 3), (9, 2), (3, 8), (12, 1), (2, 2), (6, 5)])


@torch.no_grad()
def one_by_one(model: nn.Module, choice: Continuation) -> float:
    """Return the log-likelihood from one unpadded row and all of its logits."""
    logits = model(input_ids=torch.tensor([[*choice.context, *choice.ids]])).logits[0].double()
    total = 0.0
    for place, token in enumerate(choice.ids, start=len(choice.context)):
        scores = logits[place - 1]
        total += (scores[token] - torch.logsumexp(scores, 0)).item()
    return total


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_likelihood_is_that_of_the_choice_alone(family: str, batch_size: int):
    model = plain_model(family, attention=FAMILIES[family]).eval()
    found = log_likelihoods(model, CHOICES, pad_id=PAD, batch_size=batch_size)
    # Some architectures compute parts in float32 whatever the weights are.
    assert found == pytest.approx([one_by_one(model, choice) for choice in CHOICES], rel=1e-6)


def test_a_model_prepared_for_packing_gives_the_same():
    found = log_likelihoods(packed_model().eval(), CHOICES, pad_id=PAD, batch_size=3)
    assert found == pytest.approx([one_by_one(plain_model().eval(), choice) for choice in CHOICES], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_weights_differ_by_rounding_alone(dtype: torch.dtype):
    model = plain_model(dtype=dtype).eval()
    found = log_likelihoods(model, CHOICES, pad_id=PAD, batch_size=4)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert found == pytest.approx([one_by_one(model, choice) for choice in CHOICES], rel=tolerance)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_counts():
    torch.manual_seed(1)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    model = peft.get_peft_model(plain_model(), config).eval()
    found = log_likelihoods(model, CHOICES, pad_id=PAD, batch_size=3)
    assert found == pytest.approx([one_by_one(model, choice) for choice in CHOICES], rel=1e-9)
    assert found != pytest.approx(log_likelihoods(plain_model(), CHOICES, pad_id=PAD, batch_size=3), rel=1e-3)


def test_what_pads_are_changes_nothing_and_the_mode_is_put_back():
    model = plain_model("gpt2_dropout").train()
    list(model.children())[-1].eval()
    before = [module.training for module in model.modules()]
    first, second = (log_likelihoods(model, CHOICES, pad_id=pad, batch_size=4) for pad in (0, 17))
    assert first == second
    assert [module.training for module in model.modules()] == before
    model(input_ids=torch.tensor([[1, 2]]), labels=torch.tensor([[1, 2]])).loss.backward()


def watched(model: PreTrainedModel, act: Callable[[], Any]) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the shapes that the model reads and the numbers of positions that logits are made for."""
    shapes: list[tuple[int, int]] = []
    logits: list[int] = []
    head = model.get_output_embeddings()
    assert head is not None
    handles = (
        model.register_forward_pre_hook(
            lambda _, __, options: shapes.append(tuple(options["input_ids"].shape)), with_kwargs=True
        ),
        head.register_forward_hook(lambda _, __, output: logits.append(output.shape[1])),
    )
    act()
    for handle in handles:
        handle.remove()
    return shapes, logits


def test_letters_of_one_token_share_a_row_and_logits_are_made_only_where_they_count():
    context = CHOICES[2].context
    letters = [Continuation(context=context, ids=(token,)) for token in (7, 8, 9, 10)]
    model = plain_model().eval()
    asked = [*letters, CHOICES[3]]
    shapes, logits = watched(model, lambda: log_likelihoods(model, asked, pad_id=PAD, batch_size=8))
    assert shapes == [(2, 10)]  # 3 + 8 - 1 tokens of one choice, the 9 of the letters' context padded
    assert logits == [8 + 1]
    found = log_likelihoods(model, asked, pad_id=PAD, batch_size=8)
    assert found == pytest.approx([one_by_one(model, choice) for choice in asked], rel=1e-9)


def test_a_probability_of_one_is_a_likelihood_of_zero():
    model = plain_model().eval()
    every = [Continuation(context=(5, 6), ids=(token,)) for token in range(64)]
    found = torch.tensor(log_likelihoods(model, every, pad_id=PAD, batch_size=4), dtype=torch.float64)
    assert found.exp().sum().item() == pytest.approx(1.0)


ENDINGS = {"A": "dog", "B": "a number or the word dog", "C": "every vowel", "D": "lines"}


def question(number: int = 1, *, words: int = 4, answer: str = "B", changed: Mapping[str, str] | None = None) -> Example:
    context = " ".join(["lines", "with", "a", "vowel"] * words)
    listed = "".join(f"\n{letter}) {ending}" for letter, ending in ENDINGS.items())
    messages = (
        Message(role="system", content="Answer A, B, C, or D."),
        Message(role="user", content=context + listed),
        Message(role="assistant", content=answer),
    )
    endings = {f"ending {letter}": ending for letter, ending in ENDINGS.items()}
    return Example(name=f"q:{number}", messages=messages, extra={"context": context, **endings, **(changed or {})})


def tokenizers() -> dict[str, Tokenizer]:
    """A word tokenizer with the ChatML format, and byte-level pieces without one."""
    texts = [message.content for message in question().messages] * 3
    pieces = train_tokenizer(texts, size=300)
    plain = train_tokenizer(texts, size=300)
    plain.chat_template = plain_template(plain)
    return {"words": Tokenizer(word_tokenizer()), "pieces": Tokenizer(pieces), "plain": Tokenizer(plain)}


@pytest.mark.parametrize("kind", ["words", "pieces", "plain"])
def test_letters_and_endings_are_tokens_of_the_texts_they_stand_in(kind: str):
    tokenizer = tokenizers()[kind]
    example = question()
    (item,) = choice_items(tokenizer, [example])
    assert list(item.choices) == [*(f"letter {x}" for x in "ABCD"), *(f"ending {x}" for x in "ABCD")]
    (trained,) = tokenizer.samples([example])
    letter = item.choices["letter B"]
    assert trained.sequences[0].ids[: len(letter.context) + len(letter.ids)] == (*letter.context, *letter.ids)
    assert letter.context == tuple(tokenizer.prompt_ids(example)) == item.prompt_ids
    hub = tokenizer.tokenizer
    for name, ending in ENDINGS.items():
        choice = item.choices[f"ending {name}"]
        whole = hub(f"{example.extra['context']} {ending}", add_special_tokens=False)["input_ids"]
        assert [*choice.context, *choice.ids] == whole
        assert str(hub.decode(list(choice.ids))).strip() == ending


def test_a_long_prompt_is_never_cut_and_its_end_is_read():
    """The official evaluation cuts HellaSwag's prompts to 128 tokens, so that the endings are not seen."""
    tokenizer = tokenizers()["words"]
    (item,) = choice_items(tokenizer, [question(words=60)])
    assert len(item.prompt_ids) > 240
    assert item.prompt_ids == tuple(tokenizer.prompt_ids(question(words=60)))
    model = plain_model().eval()
    long = ChoiceItem(name="q", prompt="", expected="A", prompt_ids=(5,) * 140, choices={"letter A": draw([(140, 1)])[0]})
    with pytest.raises(
        UserError, match=r"^q has 140 tokens, more than the model's 128 positions; .* \(prompts are never cut\)"
    ):
        evaluate(Choosing(model=model, pad_id=PAD), [long])


def test_the_likeliest_letter_is_the_answer_whatever_the_endings_say():
    tokenizer, model = tokenizers()["words"], plain_model().eval()
    choosing = Choosing(model=model, pad_id=PAD, batch_size=2)
    items = choosing.items(tokenizer, [question(1, answer="A"), question(2, words=2, answer="D")])
    for item, each in zip(items, evaluate(choosing, items), strict=True):
        assert (each.prompt, each.expected, each.stopped, each.tokens) == (item.prompt, item.expected, True, 0)
        alone = {name: one_by_one(model, choice) for name, choice in item.choices.items()}
        assert each.likelihoods == pytest.approx(alone, rel=1e-9)
        assert each.generated == max("ABCD", key=lambda letter: alone[f"letter {letter}"])


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        (dataclasses.replace(question(), extra={}), "^q:1: there are no endings to choose from"),
        (dataclasses.replace(question(), extra={"ending A": "a", "ending B": "b"}), "^q:1: there are no endings"),
        (question(changed={"ending C": "  "}), "^q:1: its context or ending C has no token"),
        (question(changed={"context": ""}), "^q:1: its context or ending A has no token"),
    ],
)
def test_an_example_without_choices_is_told(example: Example, sentence: str):
    with pytest.raises(UserError, match=sentence):
        choice_items(tokenizers()["words"], [example])


class Kill(BaseException):
    """Stands for the process's end."""


@pytest.mark.parametrize("done", [0, 2, 4])
def test_a_killed_choice_goes_on_and_ends_with_the_same_bytes(done: int, tmp_path: Path):
    choosing = Choosing(model=plain_model().eval(), pad_id=PAD, batch_size=2)
    items = choosing.items(tokenizers()["words"], [question(number, words=number) for number in range(1, 6)])
    whole = evaluate(choosing, items, folder=tmp_path / "whole")

    def die(finished: int, _total: int) -> None:
        if finished >= done:
            raise Kill

    with pytest.raises(Kill):
        evaluate(choosing, items, folder=tmp_path / "killed", progress=die)
    path = tmp_path / "killed" / "predictions.jsonl"
    if done:
        path.write_bytes(path.read_bytes()[:-10])
    assert evaluate(choosing, items, folder=tmp_path / "killed") == whole
    assert path.read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    assert read_predictions(path) == whole
