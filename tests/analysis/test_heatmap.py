import re
import xml.etree.ElementTree as ET

import pytest

from llm_jepa.analysis.curves import cloud, compute_lines, spectrum_lines
from llm_jepa.analysis.heatmap import Cell, heat_map

HOSTILE = '<script>alert(1)</script> $x_ & "q"'
CELLS = {(0, 0.5): Cell(value=50.04), (1, 0.5): Cell(value=61.0, deviation=2.0), (1, 4): Cell(value=40.0)}


def _map(cells: dict[tuple[float, float], Cell] = CELLS, title: str = "Grid") -> str:
    return heat_map(cells, title=title, x_label="k", y_label="weight", description=f"{title} in full")


def _lines(title: str = "t") -> str:
    curves = {"plain": [[(1.0, 20.0), (2.0, 30.0)], [(1.0, 22.0), (2.0, 33.0)]], "jepa": [[(2.0, 25.0)]]}
    return compute_lines(curves, ("plain", "jepa", title), title=title, x_label="PFLOPs", y_label="%")


def _spectrum(title: str = "t") -> str:
    return spectrum_lines({"plain": [[10.0, 1.0, 0.0]], "jepa": [[1.0, 0.1]]}, ("plain", "jepa"), title=title)


def _cloud(title: str = "t") -> str:
    return cloud([(0.0, 1.0)], [(1.0, 0.0), (2.0, 2.0)], title=title)


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("draw", [lambda title: _map(title=title), _lines, _spectrum, _cloud])
def test_drawings_are_the_same_bytes_each_time_and_take_any_title(draw) -> None:
    svg = draw(HOSTILE)
    assert draw(HOSTILE) == svg
    assert HOSTILE in _texts(svg)
    assert "<script>" not in svg
    assert set(re.findall(r"url\((.)", svg)) <= {"#"}


def test_cells_have_their_numbers_and_settings_their_values() -> None:
    found = _texts(_map())
    assert {"50.0", "61.0 ± 2.0", "40.0", "0", "1", "0.5", "4", "k", "weight", "Grid"} <= set(found)
    assert ET.fromstring(_map()).attrib["aria-label"] == "Grid in full"


def test_digits_are_dark_on_pale_cells_and_light_on_dark_ones() -> None:
    svg = _map()
    assert svg.index("#10202e") >= 0
    assert svg.index("#ffffff") >= 0


def test_one_cell_or_equal_cells_are_drawn_too() -> None:
    assert "7.0" in _texts(_map({(0, 1): Cell(value=7.0)}))
    assert _texts(_map({(0, 1): Cell(value=7.0), (1, 1): Cell(value=7.0)})).count("7.0") == 2


def test_a_single_score_is_visible_as_a_marker() -> None:
    assert "jepa" in _texts(_lines())
    assert _lines().count("<use") > 3


def test_ticks_of_a_spectrum_are_plain_numbers() -> None:
    found = _texts(_spectrum())
    assert {"10", "1", "0.1"} <= set(found)
    assert not any("$" in text for text in found)


def test_a_cloud_names_both_views_and_has_no_ticks() -> None:
    assert _texts(_cloud()) == ["t", "Text", "Code"]
