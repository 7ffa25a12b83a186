"""What two views have in common, on pairs whose overlap can be counted by hand."""

from dataclasses import replace

import pytest
from tests.helpers import TEXT_CODE

from llm_jepa.experiments.preflight.view_facts import ViewFacts, evenly, view_facts
from llm_jepa.packing.layout import Layout
from llm_jepa.records import Example, View
from llm_jepa.views.pairs import Direction
from llm_jepa.views.tokenize import Sample, TokenView

WORDS = {word: index for index, word in enumerate(["a", "b", "c", "d", "e", "f", "g", "h"])}


def pair(name: str, source: str, target: str) -> tuple[Example, Sample]:
    views = tuple(View(content=text, role="") for text in (source, target))
    ids = [tuple(WORDS[word] for word in text.lower().split()) for text in (source, target)]
    tokens = tuple(TokenView(ids=item, framed=(90, 91, *item), frame=2) for item in ids)
    return Example(name=name, messages=(), views=views), Sample(name, (), tokens)


def facts(*texts: tuple[str, str], layout: Layout | None = None) -> ViewFacts:
    made = [pair(str(index), *text) for index, text in enumerate(texts)]
    found = view_facts([example for example, _ in made], [sample for _, sample in made], layout or Layout())
    assert found is not None
    return found


def test_shared_tokens_are_counted_as_a_share_of_the_target():
    found = facts(("a b", "b c"), ("d e f", "d e"))
    assert found.pairs == 2
    assert found.shared == (0.5 + 1.0) / 2
    assert found.shared_shuffled == 0.0
    assert found.found == 1.0
    assert found.identical == 0.0
    assert found.contained == 0.5


def test_the_direction_decides_which_view_is_the_target():
    found = facts(("a b", "b"), ("c d", "d"), layout=Layout(direction=Direction.code_to_text))
    assert found.shared == 0.5


def test_pairs_that_any_other_matches_as_well_are_not_found():
    assert facts(("a b", "a b"), ("a b", "a b")).found == 0.0


@pytest.mark.parametrize(("target", "identical", "contained"), [("A  b", 1.0, 0.0), ("a b c", 0.0, 1.0), ("c", 0.0, 0.0)])
def test_case_and_white_space_make_no_difference(target, identical, contained):
    found = facts(("a b", target), ("a b", target))
    assert (found.identical, found.contained) == (identical, contained)


@pytest.mark.parametrize(
    ("layout", "share"), [(Layout(), 0.0), (Layout(shared=False, framed=True), 0.5), (Layout(shared=False), 0.0)]
)
def test_template_counts_only_where_views_are_framed(layout, share):
    assert facts(("a b", "c d"), ("c d", "e f"), layout=layout).template == share


def test_one_pair_has_nothing_to_be_compared_with():
    example, sample = pair("0", "a", "b")
    assert view_facts([example], [sample], Layout()) is None


@pytest.mark.parametrize(("count", "names"), [(2, ["0", "3"]), (3, ["0", "2", "4"]), (9, ["0", "1", "2", "3", "4"])])
def test_samples_are_taken_evenly_and_only_those_with_two_views(count, names):
    samples = [replace(TEXT_CODE, name=str(index)) for index in range(5)]
    single = replace(TEXT_CODE, name="single", views=TEXT_CODE.views[:1])
    assert [sample.name for sample in evenly([single, *samples], count)] == names
