"""Conversation -> text with spans: which characters are which message, by construction.

The template is rendered once for every sequence of roles, with a unique placeholder in place of each content, and split at
the placeholders. What remains are the template's own pieces; the real contents go between them. Nothing is ever searched
for in a real content. Every real rendering is compared with what the template itself makes of the real messages, so a
template that rewrites contents is refused, not mistrained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from llm_jepa.errors import UserError
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Message

PINNED_ARGUMENTS: Mapping[str, Any] = {"date_string": "26 Jul 2024", "enable_thinking": False}
"""Given to every template: no date of today (Llama 3.2 would print it), no thinking block unless asked for (Qwen3)."""

PLAIN_TEMPLATE = (
    "{{ bos_token if %(bos)s else '' }}{%% for message in messages %%}{{ message['content'] }}"
    "{%% if message['role'] == 'assistant' %%}{{ eos_token }}{%% else %%}{{ '\\n' }}{%% endif %%}{%% endfor %%}"
)
"""The format for tokenizers without a chat template: contents on lines of their own, the answer closed by the stop token."""

MERGE = "\n\n"
"""Stands between system and user content where the template knows no system role (Gemma)."""

_LOOP = "{%% for messages in all_conversations %%}%s{{ between }}{%% endfor %%}"
"""A template around the template, for many conversations in one call."""

_BETWEEN = "\x02\x03between\x03\x02"

_TEMPLATE_TROUBLE = (
    *(TemplateError, ArithmeticError, LookupError, TypeError, ValueError),
    *(AttributeError, RecursionError, MemoryError),
)
"""What a template raises: it is a program of its own, which runs in the sandbox of transformers."""

_SPACES = (" ", "\n")
"""White space that templates are tried with: some strip all of it, Qwen3's line breaks only."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A rendered conversation.

    Attributes:
        text: what is tokenised.
        spans: for every message the (start, end) of its content in `text`, in characters.
        asked: where the last message is an answer, how many characters of `text` are the prompt that the template gives to
            generate it; 0 elsewhere, and where the prompt is not the beginning of what is trained.
        skeleton: the template's own pieces in `text`; None where it is not made of them.
        contents: the contents between those, as the template left them, in the order of the messages.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    asked: int = 0
    skeleton: "Skeleton | None" = None
    contents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """The template's own pieces for one sequence of roles: piece, content, piece, content, ..., piece.

    Attributes:
        pieces: what the template puts around the contents, one more than there are.
        order: index of the message whose content stands behind each piece but the last.
        trims: for every message what the template strips from its content.
        unasked: the number of characters between the end of the prompt and the last message's content, commonly 0; None
            where the template makes no prompt of the messages before, or one that is not the beginning of this text.
        merges: whether the system message is put into the user's, for the template rejects it.
    """

    pieces: tuple[str, ...]
    order: tuple[int, ...]
    trims: tuple["_Trim", ...]
    unasked: int | None
    merges: bool


@dataclass(frozen=True, slots=True)
class _Trim:
    """Which characters the template strips from the ends of a message's content: "" for none, None for all white space."""

    left: str | None
    right: str | None

    def of(self, content: str) -> str:
        return content.lstrip(self.left).rstrip(self.right)


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the plain format as a chat template, with BOS where this tokenizer puts one by itself."""
    first = tokenizer("a")["input_ids"][:1]
    return PLAIN_TEMPLATE % {"bos": str(tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id])}


class ChatRenderer:
    """Renders conversations with a tokenizer's chat template, contents located by construction.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        arguments: arguments for the template besides `PINNED_ARGUMENTS`, such as `{"enable_thinking": True}`.

    Raises:
        UserError: the template drops, repeats or rewrites a content, or rejects the roles.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, arguments: Mapping[str, Any] | None = None) -> None:
        self._tokenizer = tokenizer
        self.arguments = {**PINNED_ARGUMENTS, **(arguments or {})}
        self._skeletons: dict[tuple[str, ...], Skeleton] = {}
        self._merging: dict[tuple[str, ...], bool] = {}
        self._rejected: dict[tuple[str, ...], bool] = {}
        source = tokenizer.chat_template
        self._looped = _LOOP % source.removesuffix("\n") if isinstance(source, str) else None

    def render(self, messages: Sequence[Message], *, where: str) -> Rendering:
        """Return the text of a whole conversation and the span of every content; `where` stands in errors."""
        return self.render_all([messages], where=[where])[0]

    def render_all(self, conversations: Sequence[Sequence[Message]], *, where: Sequence[str]) -> list[Rendering]:
        """Return what `render` does for every conversation; the template is called once for them all, where it can be."""
        renderings = [Rendering("", ())] * len(conversations)
        turns: list[list[dict[str, str]]] = []
        whole: list[tuple[int, Skeleton]] = []
        for index, (messages, name) in enumerate(zip(conversations, where, strict=True)):
            roles = tuple([message.role for message in messages])
            skeleton = self._skeletons.get(roles) or self._skeleton(roles, name)
            if skeleton.merges and not messages[0].content.strip():
                rest = self.render(messages[1:], where=name)
                renderings[index] = replace(rest, spans=(rest.spans[0][:1] * 2, *rest.spans), skeleton=None)
            else:
                turns.append(_turns(messages, merge=skeleton.merges))
                whole.append((index, skeleton))
        expected = self._templates(turns, [where[index] for index, _ in whole])
        for (index, skeleton), text in zip(whole, expected, strict=True):
            contents = tuple([message.content for message in conversations[index]])
            renderings[index] = self._located(skeleton, contents, text, where[index])
        return renderings

    def _located(self, skeleton: Skeleton, contents: tuple[str, ...], expected: str, where: str) -> Rendering:
        """Return the rendering that is what the template made of these contents."""
        rendering = _fill(skeleton, contents)
        if rendering.text == expected:
            return rendering
        trimmed = tuple(trim.of(content) for trim, content in zip(skeleton.trims, contents, strict=True))
        for stripped in (trimmed, tuple(content.strip() for content in contents)):
            rendering = _fill(skeleton, stripped)
            if rendering.text == expected:
                return rendering
        raise UserError(
            f"{where}: the chat template rewrites the content of a message (a thinking block, perhaps), so its tokens "
            "cannot be told apart; remove such marks from the data or set `model.template` to another template"
        )

    def alone(self, message: Message, *, where: str) -> Rendering:
        """Return a single message in the template; an answer as the user's where no answer may come first (Gemma)."""
        rejected = message.role == ASSISTANT and self._rejects((ASSISTANT,), where)
        return self.render([Message(role=USER, content=message.content) if rejected else message], where=where)

    def prompt(self, messages: Sequence[Message], *, where: str) -> str:
        """Return the text given to the model to generate the answer to `messages`."""
        roles = tuple(message.role for message in messages)
        self._skeleton((*roles, ASSISTANT), where)
        if self._merges_nothing(messages):
            return self.prompt(messages[1:], where=where)
        turns = self._turns(roles, [message.content for message in messages])
        return self._template(turns, where, generate=True)

    def _skeleton(self, roles: tuple[str, ...], where: str) -> Skeleton:
        if roles not in self._skeletons:
            self._merging[roles] = self._must_merge(roles, where)
            marks = [f"\x02{index}\x03placeholder\x03{index}\x02" for index in range(len(roles))]
            text = self._template(self._turns(roles, marks), where)
            pieces, order = _split(text, marks, roles, where)
            trims = self._trims(roles, marks, pieces, where)
            unasked = self._unasked(roles, marks, text, where)
            self._skeletons[roles] = Skeleton(pieces, order, trims, unasked, self._merging[roles])
        return self._skeletons[roles]

    def _trims(self, roles: tuple[str, ...], marks: list[str], pieces: tuple[str, ...], where: str) -> tuple["_Trim", ...]:
        """Return what the template strips, told by the lengths of its pieces around contents with white space at the ends.

        One sign stands before each content and two stand behind it, so a piece grows by 1 if the first survives, by 2 if
        the others do.
        """
        stripped: list[tuple[str, str]] = [("", "")] * len(marks)
        for space in _SPACES:
            text = self._template(self._turns(roles, [space + mark + 2 * space for mark in marks]), where)
            spaced, order = _split(text, marks, roles, where)
            grown = [len(one) - len(other) for one, other in zip(spaced, pieces, strict=True)]
            for place, index in enumerate(order):
                left, right = stripped[index]
                stripped[index] = (left + space * (not grown[place] & 1), right + space * (not grown[place + 1] & 2))
        every = "".join(_SPACES)
        return tuple(_Trim(*(None if signs == every else signs for signs in ends)) for ends in stripped)

    def _unasked(self, roles: tuple[str, ...], marks: list[str], text: str, where: str) -> int | None:
        if len(roles) < 2 or roles[-1] != ASSISTANT:
            return None
        prompt = self._template(self._turns(roles[:-1], marks[:-1]), where, generate=True)
        answer = text.index(marks[-1])
        return answer - len(prompt) if text[:answer].startswith(prompt) else None

    def _must_merge(self, roles: tuple[str, ...], where: str) -> bool:
        return roles[:2] == (SYSTEM, USER) and self._rejects(roles, where)

    def _rejects(self, roles: tuple[str, ...], where: str) -> bool:
        if roles not in self._rejected:
            try:
                self._template([{"role": role, "content": "x"} for role in roles], where)
                self._rejected[roles] = False
            except UserError:
                self._rejected[roles] = True
        return self._rejected[roles]

    def _merges(self, roles: Sequence[str]) -> bool:
        return self._merging.get(tuple(roles), self._merging.get((*roles, ASSISTANT), False))

    def _merges_nothing(self, messages: Sequence[Message]) -> bool:
        """Return whether a system message without text would be merged, of which the template would leave nothing."""
        return self._merges([message.role for message in messages]) and not messages[0].content.strip()

    def _turns(self, roles: Sequence[str], contents: Sequence[str]) -> list[dict[str, str]]:
        messages = [Message(role=role, content=content) for role, content in zip(roles, contents, strict=True)]
        return _turns(messages, merge=self._merges(roles))

    def _templates(self, conversations: Sequence[list[dict[str, str]]], where: Sequence[str]) -> list[str]:
        """Return what the template makes of every conversation: by the template in a loop, or else one by one.

        The loop saves three quarters of the time. It is trusted as long as the first of its texts is what the template
        makes of that conversation alone, and an error is left to the conversation that has it.
        """
        if len(conversations) > 1 and self._looped is not None:
            first = self._template(conversations[0], where[0])
            try:
                text = self._template(
                    conversations[0], where[0], chat_template=self._looped, all_conversations=conversations, between=_BETWEEN
                )
            except UserError:
                text = ""
            made = text.split(_BETWEEN)
            if len(made) == len(conversations) + 1 and made[0] == first:
                return made[:-1]
        return [self._template(turns, name) for turns, name in zip(conversations, where, strict=True)]

    def _template(self, turns: list[dict[str, str]], where: str, *, generate: bool = False, **more: Any) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generate, **more, **self.arguments
            )
        except _TEMPLATE_TROUBLE as error:
            roles = ", ".join(turn["role"] for turn in turns)
            raise UserError(f"{where}: the chat template rejects the roles ({roles}): {error}") from error
        return str(text)


def _split(text: str, marks: Sequence[str], roles: Sequence[str], where: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the template's own pieces around the marks, and the order of the marks."""
    for mark, role in zip(marks, roles, strict=True):
        if text.count(mark) != 1:
            problem = "drops" if mark not in text else "repeats"
            raise UserError(f"{where}: the chat template {problem} the content of the {role} message")
    order = tuple(sorted(range(len(marks)), key=lambda index: text.index(marks[index])))
    pieces: list[str] = []
    for index in order:
        before, text = text.split(marks[index])
        pieces.append(before)
    return (*pieces, text), order


def _fill(skeleton: Skeleton, contents: tuple[str, ...]) -> Rendering:
    spans = [(0, 0)] * len(contents)
    parts, end = [skeleton.pieces[0]], len(skeleton.pieces[0])
    for index, piece in zip(skeleton.order, skeleton.pieces[1:], strict=True):
        content = contents[index]
        start, end = end, end + len(content)
        spans[index] = (start, end)
        end += len(piece)
        parts += (content, piece)
    asked = 0 if skeleton.unasked is None else spans[-1][0] - skeleton.unasked
    return Rendering("".join(parts), tuple(spans), asked, skeleton, contents)


def _turns(messages: Sequence[Message], *, merge: bool) -> list[dict[str, str]]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    if not merge:
        return turns
    return [{"role": USER, "content": turns[0]["content"] + MERGE + turns[1]["content"]}, *turns[2:]]
