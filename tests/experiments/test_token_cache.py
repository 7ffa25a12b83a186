"""Tokenised samples on disk: equal, found again only by what would make the same, and never in the way of a run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.small_runs import write_base, write_rows
from tests.helpers import CHATML, word_tokenizer

from llm_jepa.experiments import token_cache, tokenizing
from llm_jepa.experiments.experiment import Data, Experiment
from llm_jepa.experiments.material import prepare_material
from llm_jepa.experiments.show import QUIET, Show
from llm_jepa.experiments.token_cache import cache_file
from llm_jepa.experiments.tokenizing import processes, tokenized
from llm_jepa.model.load import ModelConfig
from llm_jepa.records import ASSISTANT, USER, Example, Message, View
from llm_jepa.views.predictor import PredictorTokens, add_predictor_tokens
from llm_jepa.views.tokenize import Labels, Sample, Tokenizer

DATA = Data(train="rows.jsonl")


def example(text: str, code: str, name: str) -> Example:
    messages = (Message(role=USER, content=text), Message(role=ASSISTANT, content=code))
    views = (View(content=text, role=USER, message=0), View(content=code, role=ASSISTANT, message=1))
    return Example(name=name, messages=messages, views=views)


EXAMPLES = [example("lines with a " + "dog " * (index % 5 + 1), "( . * )", f"rows:{index}") for index in range(40)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLM_JEPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tokenizing, "WORTH_KEEPING", 10)
    return tmp_path / "cache" / "samples"


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which tokenising is an error."""

    def forbid() -> None:
        def refused(_: Tokenizer, examples: Sequence[Example]) -> list[Sample]:
            assert not examples, "something is tokenised"
            return []

        monkeypatch.setattr(Tokenizer, "samples", refused)

    return forbid


def tokenizer() -> Tokenizer:
    return Tokenizer(word_tokenizer())


def told(examples: list[Example] = EXAMPLES, data: Data = DATA) -> tuple[list[Sample], list[str]]:
    lines: list[str] = []
    return tokenized(tokenizer(), examples, data, Show(say=lines.append)), lines


def test_a_second_call_reads_equal_samples_and_tokenises_nothing(folder: Path, never: Callable[[], None]) -> None:
    made, first = told()
    (file,) = folder.iterdir()
    assert first == [f"40 tokenised examples kept in '{file}'"]
    never()
    read, second = told()
    assert read == made
    assert second == [f"40 tokenised examples read from '{file}'"]


def test_samples_take_the_names_of_the_data_that_ask_for_them(folder: Path, never: Callable[[], None]) -> None:
    told()
    never()
    read, _ = told([replace(one, name=f"elsewhere:{one.name}") for one in EXAMPLES])
    assert [sample.name for sample in read[:2]] == ["elsewhere:rows:0", "elsewhere:rows:1"]


def test_little_data_and_a_cache_that_is_off_write_nothing(folder: Path) -> None:
    assert told(EXAMPLES[:9])[1] == []
    assert told(data=replace(DATA, cache=False))[1] == []
    assert not folder.exists()


def test_everything_that_changes_tokens_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(tokens: list[str]) -> Tokenizer:
        words = word_tokenizer()
        words.add_tokens(tokens)
        return Tokenizer(words)

    other = word_tokenizer()
    other.chat_template = CHATML.replace("helpful", "kind")
    padded = word_tokenizer()
    padded.pad_token = "<unk>"
    predictor = word_tokenizer()
    add_predictor_tokens(predictor)
    makers = [
        tokenizer(),
        add(["zebra"]),
        Tokenizer(other),
        Tokenizer(padded),
        Tokenizer(word_tokenizer(), arguments={"date_string": "1 May 2025"}),
        *(Tokenizer(word_tokenizer(), labels=labels) for labels in (Labels.all, Labels.official)),
        Tokenizer(word_tokenizer(), framed=True),
        Tokenizer(word_tokenizer(), whole_rendering=True),
        Tokenizer(predictor, framed=True),
        *(Tokenizer(predictor, framed=True, predictor=PredictorTokens(k=k)) for k in (1, 2)),
        Tokenizer(predictor, framed=True, predictor=PredictorTokens(k=2, prepend=True)),
    ]
    found = [cache_file(maker, EXAMPLES) for maker in makers]
    found += [cache_file(tokenizer(), EXAMPLES[1:]), cache_file(tokenizer(), EXAMPLES[::-1])]
    for name, value in (("FORMAT", "0"), ("_source", lambda: "other code"), ("version", lambda name: f"{name} 9")):
        with monkeypatch.context() as patch:
            patch.setattr(token_cache, name, value)
            found.append(cache_file(tokenizer(), EXAMPLES))
    assert len(set(found)) == len(found)
    assert cache_file(tokenizer(), EXAMPLES) == found[0]


def test_a_template_that_prints_the_day_is_tokenised_again_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def on(day: str) -> Path:
        words = word_tokenizer()
        original = words.apply_chat_template
        monkeypatch.setattr(words, "apply_chat_template", lambda *given, **more: f"{day}{original(*given, **more)}")
        return cache_file(Tokenizer(words), EXAMPLES)

    assert on("1 May 2025") != on("2 May 2025")
    assert on("1 May 2025") == on("1 May 2025")


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: held[:-7],
        lambda held: held[:5],
        lambda _: b"",
        lambda _: b"not a file of tensors at all",
        lambda held: held[:-1] + bytes([held[-1] ^ 1]),
    ],
    ids=["cut", "cut in the header", "empty", "foreign", "one bit"],
)
def test_a_damaged_file_is_told_and_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    made, _ = told()
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    again, lines = told()
    assert again == made
    assert lines[0].startswith(f"the cached tokens '{file}' cannot be used (")
    assert lines[0].endswith("); tokenising again")
    assert "\n" not in lines[0]
    assert lines[1:] == [f"40 tokenised examples kept in '{file}'"]
    assert told()[1] == [f"40 tokenised examples read from '{file}'"]


def test_a_file_under_another_name_is_not_taken(folder: Path) -> None:
    told(EXAMPLES[:20])
    (other,) = folder.iterdir()
    mine = cache_file(tokenizer(), EXAMPLES[1:21])
    mine.write_bytes(other.read_bytes())
    samples, lines = told(EXAMPLES[1:21])
    assert samples == list(tokenizer().samples(EXAMPLES[1:21]))
    assert lines[0] == f"the cached tokens '{mine}' cannot be used (wrong checksum); tokenising again"


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    samples, lines = told()
    assert samples == list(tokenizer().samples(EXAMPLES))
    assert lines[-1] == f"warning: the tokens were not cached in '{folder}' (Not a directory); the run goes on without"


def test_a_full_disk_is_a_warning_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(token_cache.os, "fsync", full)
    samples, lines = told()
    assert len(samples) == 40
    assert lines == [f"warning: the tokens were not cached in '{folder}' (No space left on device); the run goes on without"]
    assert list(folder.iterdir()) == []


def test_without_the_variable_the_folder_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_JEPA_CACHE")
    assert cache_file(tokenizer(), EXAMPLES).parts[:4] == ("~", ".cache", "llm-jepa", "samples")


def test_the_first_process_of_several_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    samples, lines = told()
    assert (len(samples), lines, folder.exists()) == (40, [], False)
    monkeypatch.setenv("RANK", "0")
    assert told()[0] == samples
    assert len(list(folder.iterdir())) == 1


def test_a_run_has_the_same_material_from_the_cache(tmp_path: Path, never: Callable[[], None]) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": f"dog {index}", "code": "a vowel"} for index in range(12)])
    data = Data(train=str(rows), test=str(rows), shuffle_pairs=True)
    run = Experiment(output="run", model=ModelConfig(name=str(write_base(tmp_path / "base"))), data=data)
    made = prepare_material(run)
    never()
    read = prepare_material(run)
    assert (read.train, read.test) == (made.train, made.test)
    assert len(read.train) == 12


def test_two_workers_make_what_one_process_makes_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing, "_TOLD", 10)
    done: list[tuple[int, int]] = []
    data = replace(DATA, workers=2, cache=False)
    samples = tokenized(tokenizer(), EXAMPLES, data, Show(tokenize=lambda *told: done.append(told)))
    assert samples == list(tokenizer().samples(EXAMPLES))
    assert done == [(10, 40), (20, 40), (30, 40), (40, 40)]


def test_progress_ends_with_all_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing, "_TOLD", 15)
    done: list[tuple[int, int]] = []
    tokenized(tokenizer(), EXAMPLES, replace(DATA, cache=False), Show(tokenize=lambda *told: done.append(told)))
    assert done == [(15, 40), (30, 40), (40, 40)]


def test_how_many_processes_tokenise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing.os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert [processes(2, count) for count in (0, 999, 1_001, 10**6)] == [0, 1, 2, 2]
    assert [processes(None, count) for count in (1_000, 199_999, 200_000)] == [1, 1, 3]
    assert processes(1, 10**6) == 1


def test_no_examples_are_no_samples() -> None:
    assert tokenized(tokenizer(), [], DATA, QUIET) == []
