"""NL-RX made anew: English sentences about lines of text, and the regular expressions they stand for.

NL-RX (Locascio et al., 2016, "Neural Generation of Regular Expressions from Natural Language with Minimal Domain
Knowledge") draws random trees from a small grammar and prints each one as English and as a regular expression. This
module draws after the rules of its generator, nicholaslocascio/deep-regex @ 096490db, `data_generation/`, MIT license;
the table of node kinds is `llm_jepa.tasks.nl_regex_grammar`.

What differs from the released NL-RX-Synth: no sentence occurs twice (the release has 137 exact duplicates among its
10,000 pairs), the sentences are other draws (more than half are also in the release), and there is no NL-RX-Turk,
the crowd workers' paraphrases. As in the release, a sentence may have several readings ("starting with a letter at least
once") and has the regex of the tree drawn first; so train and test sentences must come from one run, or one sentence
gets two answers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from llm_jepa.errors import UserError
from llm_jepa.records import ASSISTANT, SYSTEM, USER, Example, Message, View
from llm_jepa.tasks import nl_regex_grammar as grammar
from llm_jepa.tasks.nl_regex_grammar import Kind

INSTRUCTION = "Convert natural language to regular expression."

Tree: TypeAlias = tuple[Kind, tuple["Tree", ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One sentence and its regular expression.

    Attributes:
        text: the sentence, lower-case, starting with "lines".
        regex: the expression in the dialect of automata, not of `re`: `&` intersects and `~(...)` complements.
    """

    text: str
    regex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The three parts of one generation run; no sentence is in two of them, or twice in one."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


def generate(*, count: int, seed: int) -> list[Pair]:
    """Return `count` pairs with distinct sentences, a random sample of one full generation run.

    Every call makes the full run of 680,000 draws, about 2 seconds on an idle core, however small `count` is, and returns
    the first `count` of its shuffled pairs. Fewer draws would not give the same data: short sentences are soon all found
    and long ones are not, so with a tenth of the draws a sentence has 11.1 words on average instead of 12.2.

    Args:
        count: number of pairs; a run yields about 10,400, some dozens more or less with the seed.
        seed: fixes the run and its order: fewer pairs with the same seed are the first ones of more.

    Raises:
        UserError: `count` is negative or more than the run yields.

    Example:
        >>> generate(count=1, seed=0)[0].regex
        '(dog).*([0-9].*[a-z].*).*'
    """
    if count < 0:
        raise UserError(f"count is {count}; ask for 0 or more sentences")
    rng = random.Random(seed)
    pairs = _run(rng)
    if count > len(pairs):
        raise UserError(
            f"{count} sentences are more than the {len(pairs)} that the grammar gives with seed {seed}; ask for fewer"
        )
    rng.shuffle(pairs)
    return pairs[:count]


def splits(*, train: int, validation: int, test: int, seed: int) -> Splits:
    """Return examples for training, validation and test, all from one call of `generate`.

    An example's conversation is the instruction, the sentence and the regex; its two views are the sentence and the
    regex. Its name counts from 1 within its split: "nl_regex/train:1".

    Args:
        train: number of training examples.
        validation: number of validation examples.
        test: number of test examples.
        seed: fixes the run and the shuffle.

    Raises:
        UserError: a count is negative, or together they are more than the run yields.
    """
    for name, count in (("train", train), ("validation", validation), ("test", test)):
        if count < 0:
            raise UserError(f"{name} is {count}; ask for 0 or more sentences")
    pairs = generate(count=train + validation + test, seed=seed)
    return Splits(
        train=_examples("train", pairs[:train]),
        validation=_examples("validation", pairs[train : train + validation]),
        test=_examples("test", pairs[train + validation :]),
    )


def _examples(split: str, pairs: list[Pair]) -> tuple[Example, ...]:
    """Return the pairs of one split as examples."""
    return tuple(
        Example(
            name=f"nl_regex/{split}:{number}",
            messages=(
                Message(role=SYSTEM, content=INSTRUCTION),
                Message(role=USER, content=pair.text),
                Message(role=ASSISTANT, content=pair.regex),
            ),
            views=(
                View(content=pair.text, role=USER, message=1),
                View(content=pair.regex, role=ASSISTANT, message=2),
            ),
        )
        for number, pair in enumerate(pairs, start=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """One of the passes of a run: a tree grows while its depth and size are below the limits.

    Attributes:
        depth: limit of the depth; the node on top has depth 1.
        size: limit of the size, where each node counts 1 and each of its slots 1 more.
        draws: number of trees drawn.
    """

    depth: int
    size: int
    draws: int


_PASSES = (
    _Pass(depth=1, size=4, draws=10_000),
    _Pass(depth=2, size=5, draws=600_000),
    _Pass(depth=3, size=7, draws=70_000),
)


def _run(rng: random.Random) -> list[Pair]:
    """Return the pairs of one full run, in the order they were drawn."""
    pairs: dict[str, Pair] = {}
    settled: set[Tree] = set()
    for limits in _PASSES:
        for _ in range(limits.draws):
            root = _grow(rng, limits, grammar.ROOT)
            # What a draw is dropped for by chance, the next draw of the same tree may escape: such a tree is not settled.
            if root is None or root in settled or _is_dropped(rng, limits, root):
                continue
            settled.add(root)
            pair = _pair(root)
            if pair is not None:
                pairs.setdefault(pair.text, pair)
    return list(pairs.values())


def _grow(rng: random.Random, limits: _Pass, kind: Kind, *, depth: int = 0, size: int = 0, forks: int = 0) -> Tree | None:
    """Return a random tree with a node of this kind on top, or None where a slot can take nothing.

    All children are chosen, left to right, before any of them grows; each then grows from the same size and forks, so
    what one sibling's subtree spends is no loss to the others.

    Args:
        rng: what chooses.
        limits: the depth and size up to which children with slots are allowed.
        kind: the kind of the top node.
        depth: the depth of the top node.
        size: the size of the tree so far.
        forks: number of and/or nodes so far; with two of them no child with slots is allowed.
    """
    chosen: list[Kind] = []
    for slot in kind.slots:
        may_grow = depth < limits.depth and size < limits.size and forks < 2
        entries = (grammar.INNER if may_grow else grammar.LEAVES)[slot]
        if not entries:
            return None
        child = entries[int(rng.random() * len(entries))]
        size += 1 + len(child.slots)
        forks += child is grammar.AND or child is grammar.OR
        chosen.append(child)
    children: list[Tree] = []
    for child in chosen:
        tree = _grow(rng, limits, child, depth=depth + 1, size=size, forks=forks) if child.slots else (child, ())
        if tree is None:
            return None
        children.append(tree)
    return kind, tuple(children)


def _is_dropped(rng: random.Random, limits: _Pass, root: Tree) -> bool:
    """Return whether this draw is dropped by chance: half the trees with and3/or3 are, and those whose rehearsal fails."""
    has_triple = any(kind in (grammar.AND3, grammar.OR3) for kind in _nodes(root))
    return (has_triple and rng.random() < 0.5) or not _rehearse(rng, limits, root)


def _rehearse(rng: random.Random, limits: _Pass, tree: Tree, *, depth: int = 0, size: int = 0, forks: int = 0) -> bool:
    """Return whether each subtree's top kind can be grown once more, into whatever tree.

    The generator grows every subtree twice, uses the second and fails with either: so a tree is the rarer the more slots
    its draw had left open. This costs 4 % of the sentences and brings lengths and depths nearer to the release.
    """
    _, children = tree
    kinds = [kind for kind, _ in children]
    size += sum(1 + len(kind.slots) for kind in kinds)
    forks += kinds.count(grammar.AND) + kinds.count(grammar.OR)
    return all(
        _grow(rng, limits, child[0], depth=depth + 1, size=size, forks=forks) is not None
        and _rehearse(rng, limits, child, depth=depth + 1, size=size, forks=forks)
        for child in children
    )


def _nodes(tree: Tree) -> Iterator[Kind]:
    """Yield the kinds of the tree's nodes, parents before children."""
    kind, children = tree
    yield kind
    for child in children:
        yield from _nodes(child)


def _is_kept(root: Tree) -> bool:
    """Return whether the tree breaks no rule.

    The generator has one more rule, that at most five nodes may repeat a kind; it follows from the first one here.
    """
    (_, ((top, children),)) = root
    below = [kind for kind, _ in children]
    names = [kind.name for kind in _nodes(root)]
    words = names.count("word")
    repeats_a_kind = len(set(names)) < len(names) - max(0, words - 1)
    repeaters = sum(name in ("one-or-more", "zero-or-more", "n-or-more") for name in names)
    joins_literal_on_top = top in grammar.JOINS and any(not kind.slots for kind in below)
    only_below_top = grammar.ONLY in below and top is not grammar.NOT
    return not (repeats_a_kind or words > 4 or repeaters > 1 or joins_literal_on_top or only_below_top)


def _pair(root: Tree) -> Pair | None:
    """Return the tree as a pair, or None when the tree or its sentence is not kept."""
    if not _is_kept(root):
        return None
    text = _clean(_english(root))
    if any(phrase in text for phrase in grammar.CLUMSY):
        return None
    return Pair(text=_name_words(text), regex=_name_words(_regex(root)))


def _english(tree: Tree, *, below_not: bool = False) -> str:
    """Return the tree in English, before the clean-up."""
    kind, children = tree
    template = kind.negated if below_not and kind.negated else kind.english
    below_not = below_not or kind is grammar.NOT
    return template % tuple(_english(child, below_not=below_not) for child in children)


def _regex(tree: Tree) -> str:
    """Return the tree as a regular expression; it has WORD for every string."""
    kind, children = tree
    return kind.regex % tuple(map(_regex, children))


def _clean(text: str) -> str:
    """Return the sentence with its clumsy pieces replaced, one after another."""
    for old, new in grammar.CLEANUP:
        text = text.replace(old, new)
    return text


def _name_words(text: str) -> str:
    """Return the text with its WORDs named, left to right."""
    for name in grammar.WORD_NAMES:
        text = text.replace("WORD", name, 1)
    return text
