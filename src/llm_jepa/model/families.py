"""What differs between model families, as data: one row each, nothing else in the code asks for a family by name.

`pattern`, `last_token`, `tokenizer`, `template` and `edits` are acted on. The other fields state what a family's format is;
the code finds each of them in the tokenizer and its chat template, and the table is held to that (docs/models.md).
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts on a family of models.

    Attributes:
        name: what it is called here.
        pattern: regular expression that a hub id or folder of the family contains, small letters.
        last_token: where the official code reads an embedding, counted from the end of the rendered view (-1 is its last
            token); found in the comments of its launch script, one number a family. SmolLM2, which it does not know, has
            the format of Qwen.
        stops: tokens that end an answer: first the one with which the chat template closes it, then others that the
            family's own generation settings name.
        tokenizer: hub id of the tokenizer to use where the model brings none.
        template: chat template to use where the tokenizer brings none.
        edits: (old, new) texts in the tokenizer's own chat template, so that the prompt at inference is what training has.
        merges_system: the template knows no system role; the system message begins the first user message.
        system: what the template says as system message where there is none; for a header that it always writes, that.
        thinking: what stands between the assistant's header and the answer, in training and at inference alike.
        real: the formats are tested with the family's real tokenizer files, else with a small one rebuilt to its format.
    """

    name: str
    pattern: str
    last_token: int
    stops: tuple[str, ...]
    tokenizer: str | None = None
    template: str | None = None
    edits: tuple[tuple[str, str], ...] = ()
    merges_system: bool = False
    system: str = ""
    thinking: str = ""
    real: bool = False


OPENELM_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
"""The format in which the official code trains OpenELM, which has none of its own. There the tokenizer adds the BOS."""

FAMILIES = (
    Family(
        name="deepseek-r1",
        pattern=r"deepseek-r1",
        last_token=-1,
        stops=("<｜end▁of▁sentence｜>",),
        # The template opens a thinking block in the prompt (since February 2025), but renders an answer without one.
        edits=((r"<｜Assistant｜><think>\n", "<｜Assistant｜>"),),
    ),
    Family(
        name="llama-3",
        pattern=r"llama-?3",
        last_token=-2,
        stops=("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
        system="Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
        real=True,
    ),
    Family(
        name="gemma-2",
        pattern=r"gemma",
        last_token=-2,
        stops=("<end_of_turn>", "<eos>"),
        merges_system=True,
        real=True,
    ),
    Family(
        name="openelm",
        pattern=r"openelm",
        last_token=-4,
        stops=("</s>",),
        tokenizer="meta-llama/Llama-2-7b-chat-hf",
        template=OPENELM_TEMPLATE,
        real=True,
    ),
    Family(name="olmo-2", pattern=r"olmo-?2", last_token=-1, stops=("<|endoftext|>",)),
    Family(
        name="qwen3",
        pattern=r"qwen3",
        last_token=-3,
        stops=("<|im_end|>", "<|endoftext|>"),
        thinking="<think>\n\n</think>\n\n",
        real=True,
    ),
    Family(
        name="qwen2.5",
        pattern=r"qwen",
        last_token=-3,
        stops=("<|im_end|>", "<|endoftext|>"),
        system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        real=True,
    ),
    Family(
        name="smollm2",
        pattern=r"smollm2",
        last_token=-3,
        stops=("<|im_end|>",),
        system="You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    ),
)


def family_of(name: str) -> Family | None:
    """Return the family that a hub id or path names, the first that fits.

    Example:
        >>> family_of("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B").name, family_of("gpt2")
        ('deepseek-r1', None)
    """
    return next((family for family in FAMILIES if re.search(family.pattern, name.lower())), None)
