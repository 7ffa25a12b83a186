"""Bars and dumbbells of models: same bytes, labels, what does not harm a page."""

import re
import xml.etree.ElementTree as ET

import pytest

from llm_jepa.analysis.bars import bars, dumbbells

HOSTILE = '<script>alert(1)</script> $x_ & "q" xlink:href="http://evil"'


def _bars(names: tuple[str, ...] = ("plain", "jepa")) -> str:
    values = {name: (12.5 * i, 30.25) for i, name in enumerate(names)}
    return bars(values, ("from Text", "from Code"), title="Finding", x_label="share (%)", chance=0.25)


def _dumbbells(names: tuple[str, ...] = ("plain", "jepa")) -> str:
    return dumbbells({name: (-0.2, 0.9) for name in names}, title="Cosines", x_label="cosine")


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("draw", [_bars, _dumbbells])
def test_the_same_data_give_the_same_bytes(draw) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", [_bars, _dumbbells])
def test_text_and_lines_take_the_colour_around_them(draw) -> None:
    svg = draw()
    assert all("fill: currentColor" in style for style in re.findall(r'<text style="([^"]*)"', svg))
    assert "#123456" not in svg
    assert "#000000" not in svg


@pytest.mark.parametrize("draw", [_bars, _dumbbells])
def test_hostile_names_are_text_and_nothing_else(draw) -> None:
    svg = draw((HOSTILE, "_hidden"))
    root = ET.fromstring(svg)
    assert not any("script" in element.tag for element in root.iter())
    assert any("_hidden" in text for text in _texts(svg))
    references = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]
    assert all(reference.startswith("#") for reference in references)


def test_every_bar_has_its_number_and_every_series_its_name() -> None:
    assert {"plain", "jepa", "0.0", "12.5", "30.2", "from Text", "from Code", "chance", "share (%)"} <= set(_texts(_bars()))


def test_both_ends_are_named() -> None:
    assert {"plain", "jepa", "shuffled pairs", "matched pairs", "cosine"} <= set(_texts(_dumbbells()))


def test_nothing_above_zero_still_draws() -> None:
    ET.fromstring(bars({"a": (0.0,)}, ("one",), title="t", x_label="x"))
