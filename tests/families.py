"""The formats of the paper's model families, written down by hand, and a tokenizer of each: the real one, or one rebuilt.

The templates are ours, after each family's documented format; where the tokenizer's real files bring one, that is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as RawTokenizer
from transformers import PreTrainedTokenizerFast

from llm_jepa.model.families import FAMILIES, Family
from llm_jepa.model.tokenizer import set_template
from tests.helpers import CHATML

BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"

R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}"
    "{% elif m['role'] == 'assistant' %}"
    "{{ '<｜Assistant｜>' + m['content'].split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)
"""DeepSeek-R1-Distill: no line breaks; thinking is cut off an answer, and the prompt begins a new one."""

OLMO_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{{ '<|assistant|>\n' + m['content'] + eos_token }}{% if not loop.last %}{{ '\n' }}{% endif %}"
    "{% else %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""OLMo 2: roles in plain text, and one special token for begin and end."""

GEMMA_2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
"""Gemma 2: no system role, contents trimmed."""

LLAMA_3 = (
    "{{ bos_token }}{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{% set head = '<|start_header_id|>' %}{% set tail = '<|end_header_id|>\n\n' %}"
    "{{ head + 'system' + tail + 'Cutting Knowledge Date: December 2023\nToday Date: ' + date_string + '\n\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% set messages = messages[1:] %}{% endif %}"
    "{{ '<|eot_id|>' }}{% for m in messages %}"
    "{{ head + m['role'] + tail + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ head + 'assistant' + tail }}{% endif %}"
)
"""Llama 3.1 and 3.2: a system header with dates always, contents trimmed."""

LLAMA_HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
LLAMA_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
CHAT = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A family's format.

    Attributes:
        prompt: the prompt, with a place for each of `contents`.
        closing: what stands behind the answer.
        folder: the real tokenizer in `shared/tokenizers`; None: it is rebuilt.
        template: the chat template where that folder brings none, or another than the family's instruct models.
        special: (bos, eos, pad) and other special tokens of a rebuilt tokenizer.
        contents: what the template makes of the contents of system and user.
        answer: what it makes of the answer.
    """

    prompt: str
    closing: str
    folder: str | None = None
    template: str | None = None
    special: tuple[str | None, ...] = ()
    contents: Callable[[str, str], tuple[str, ...]] = lambda system, user: (system, user)
    answer: Callable[[str], str] = str

    def text(self, system: str, user: str) -> str:
        """Return the prompt."""
        return self.prompt.format(*self.contents(system, user))


FORMATS = {
    "deepseek-r1": Format(
        prompt=f"{BEGIN}{{}}<｜User｜>{{}}<｜Assistant｜>",
        closing=END,
        template=R1,
        special=(BEGIN, END, END, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
    ),
    "llama-3": Format(
        prompt=f"<|begin_of_text|>{LLAMA_HEADER.format('system')}{LLAMA_DATES}{{}}<|eot_id|>"
        f"{LLAMA_HEADER.format('user')}{{}}<|eot_id|>{LLAMA_HEADER.format('assistant')}",
        closing="<|eot_id|>",
        folder="llama-3.1",
        template=LLAMA_3,
        contents=lambda system, user: (system.strip(), user.strip()),
        answer=str.strip,
    ),
    "gemma-2": Format(
        prompt="<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
        closing="<end_of_turn>",
        folder="gemma-2",
        template=GEMMA_2,
        contents=lambda system, user: (f"{system}\n\n{user}".strip(),),
        answer=str.strip,
    ),
    "openelm": Format(
        prompt="<s><|system|>\n{}</s>\n<|user|>\n{}</s>\n<|assistant|>\n",
        closing="</s>",
        folder="llama-2",
    ),
    "olmo-2": Format(
        prompt="<|endoftext|><|system|>\n{}\n<|user|>\n{}\n<|assistant|>\n",
        closing="<|endoftext|>",
        template=OLMO_2,
        special=("<|endoftext|>", "<|endoftext|>", "<|pad|>"),
    ),
    "qwen3": Format(
        prompt=CHAT + "<think>\n\n</think>\n\n",
        closing="<|im_end|>",
        folder="qwen3",
        answer=lambda answer: answer.lstrip("\n"),
    ),
    "qwen2.5": Format(prompt=CHAT, closing="<|im_end|>", folder="qwen2.5"),
    "smollm2": Format(
        prompt=CHAT,
        closing="<|im_end|>",
        template=CHATML,
        special=(None, "<|im_end|>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"),
    ),
}

ROWS: dict[str, Family] = {family.name: family for family in FAMILIES}

WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""How the tokenizers of Llama 3, Qwen and OLMo 2 cut a text before merging, without their English contractions."""

CORPUS = [
    "<|system|>\n\n<|user|>\n\n<|assistant|>\n\n\nlines with a number before the string dog\n\n  ([0-9]).*(dog).*",
    "user\n\nassistant\n\nsystem\n\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face\n\n #### 42",
] * 3


def rebuilt(special: tuple[str | None, ...], size: int = 420) -> PreTrainedTokenizerFast:
    """Return a small byte-level tokenizer with a family's special tokens, which merges line breaks with one another."""
    bos, eos, pad, *_ = special
    raw = RawTokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    raw.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    raw.decoder = decoders.ByteLevel()
    known = list(dict.fromkeys(token for token in special if token))
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=known,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    if bos == BEGIN:
        raw.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, raw.token_to_id(bos))])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=bos, eos_token=eos, pad_token=pad)


_made: dict[str, Any] = {}


def tokenizer_of(name: str, real_tokenizer: Callable[[str], Any]) -> Any:
    """Return a family's tokenizer as `load_tokenizer` gives it, with its chat template; made once."""
    form = FORMATS[name]
    if name not in _made:
        source = rebuilt(form.special) if form.folder is None else real_tokenizer(form.folder)
        _made[name] = PreTrainedTokenizerFast(
            tokenizer_object=source.backend_tokenizer,
            bos_token=source.bos_token,
            eos_token=source.eos_token,
            pad_token=source.pad_token,
            chat_template=form.template or source.chat_template,
        )
        set_template(_made[name], None, needs_roles=True, model=name)
    return _made[name]
