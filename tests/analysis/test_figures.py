import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from llm_jepa.analysis.figures import Curve, cosine_curves, legend, line, panel, seed_dots, styles, training_curves

ARMS = ("plain", "jepa", "shuffled", "jepa weight 1", "infonce", "tube")
CURVES: dict[str, list[Curve]] = {
    "plain": [[(0.5, 2.0), (1.0, 1.0), (1.5, 0.5)], [(0.5, 2.2), (1.0, 1.1), (1.5, 0.6)]],
    "jepa": [[(0.5, 1.9), (1.0, 0.9), (1.5, math.nan)]],
}
HOSTILE = '<script>alert(1)</script> $x_ & "q" id=\'a\' xlink:href="http://evil"'


def _training(curves: dict[str, list[Curve]] = CURVES, **more) -> str:
    return training_curves(curves, ARMS, title="Next-token loss", x_label="epoch", y_label="nats", **more)


def _cosines(**more) -> str:
    curves: list[Curve] = [[(0.0, -0.2), (1.0, 0.9)], [(0.0, 0.0), (1.0, 0.8)]]
    return cosine_curves(curves, [], arm="jepa", arms=ARMS, x_label="epoch", **more)


def _dots(values: dict[str, dict[int, float]] | None = None, **more) -> str:
    given = {"plain": {4: 54.0, 82: 55.0}, "jepa": {4: 53.0, 23: math.inf}} if values is None else values
    return seed_dots(given, ARMS, title="Exact match", x_label="exact match (%)", **more)


PANELS = [_training, _cosines, _dots]


def _contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("draw", PANELS)
def test_the_same_data_give_the_same_bytes(draw) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", PANELS)
def test_a_panel_refers_to_nothing_outside(draw) -> None:
    svg = draw()
    ET.fromstring(svg)
    assert svg.startswith("<svg ")
    assert svg.rstrip().endswith("</svg>")
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    assert "http" not in without_namespaces
    assert not re.search(r"<(script|image|foreignObject|metadata|!DOCTYPE)", svg)
    assert all(reference.startswith("#") for reference in re.findall(r'href="([^"]*)"', svg))


@pytest.mark.parametrize("draw", PANELS)
def test_text_takes_the_colour_around_it(draw) -> None:
    svg = draw()
    fills = re.findall(r'<text style="([^"]*)"', svg)
    assert fills
    assert all("fill: currentColor" in style for style in fills)
    assert "#000000" not in svg
    assert "#ffffff" not in svg


def test_colours_are_seen_on_light_and_dark_and_all_differ() -> None:
    drawn = styles(ARMS).values()
    assert len({style.colour for style in drawn}) == len(ARMS)
    assert len({style.marker for style in drawn}) == len(ARMS)
    for style in drawn:
        assert _contrast(style.colour, "#ffffff") >= 3
        assert _contrast(style.colour, "#14171b") >= 3


def test_more_arms_than_colours_still_differ() -> None:
    drawn = styles([f"arm {i}" for i in range(12)]).values()
    assert len({(style.colour, style.dash) for style in drawn}) == 12
    assert len({(style.colour, style.marker) for style in drawn}) == 12


def test_axes_and_legend_are_labelled() -> None:
    texts = _texts(_training())
    assert {"Next-token loss", "epoch", "nats", "plain", "jepa"} <= set(texts)
    assert "shuffled" not in texts
    assert {"Cosine of pairs: jepa", "cosine", "matched pairs", "shuffled pairs"} <= set(_texts(_cosines()))
    assert {*ARMS, "exact match (%)", "chance"} <= set(_texts(_dots(chance=50.0)))


def test_a_logarithmic_axis_has_plain_numbers_and_gives_way_to_zeros() -> None:
    assert {"0.5", "1", "2"} <= set(_texts(_training(log=True)))
    zero: list[Curve] = [[(0, 0.0), (1, 4.0)]]
    assert _training({"plain": zero}, log=True) == _training({"plain": zero})


def test_the_mean_line_goes_through_the_mean_of_the_seeds() -> None:
    constant = {"plain": [[(0.0, 1.0), (1.0, 1.0)], [(0.0, 3.0), (1.0, 3.0)]], "jepa": [[(0.0, 2.0), (1.0, 2.0)]]}
    svg = training_curves(constant, ("plain", "jepa"), title="t", x_label="x", y_label="y")
    heights = {
        colour: re.search(rf'd="M \S+ (\S+) \nL[^"]*" clip-path[^>]*stroke: {colour}', svg)
        for colour in (style.colour for style in styles(("plain", "jepa")).values())
    }
    assert all(heights.values())
    assert len({match[1] for match in heights.values() if match}) == 1


def test_long_curves_are_thinned() -> None:
    long: list[Curve] = [[(float(x), math.sin(x)) for x in range(20_000)]]
    assert len(_training({"plain": long})) < 30_000


@pytest.mark.parametrize("empty", [{}, {"plain": []}, {"plain": [[]]}, {"plain": [[(0.0, math.nan)]]}])
def test_nothing_to_draw_draws_axes(empty: dict) -> None:
    ET.fromstring(_training(empty))
    ET.fromstring(_dots({}))


def test_hostile_names_are_text_and_nothing_else() -> None:
    arms = (HOSTILE, "_hidden", "漢字 🙂")
    curve: list[Curve] = [[(0.0, 1.0), (1.0, 2.0)]]
    svgs = [
        training_curves(dict.fromkeys(arms, curve), arms, title=HOSTILE, x_label="x", y_label="y"),
        cosine_curves(curve, curve, arm=HOSTILE, arms=arms, x_label="x"),
        seed_dots({arm: {1: 1.0} for arm in arms}, arms, title=HOSTILE, x_label="x"),
    ]
    for svg in svgs:
        tags = {element.tag for element in ET.fromstring(svg).iter()}
        assert not any("script" in tag for tag in tags)
        assert all(not key.startswith("on") for element in ET.fromstring(svg).iter() for key in element.attrib)
    assert "漢字 🙂" in _texts(svgs[0])
    assert any("_hidden" in text for text in _texts(svgs[0]))


def test_drawing_leaves_no_global_state() -> None:
    before = dict(mpl.rcParams)
    _training()
    assert dict(mpl.rcParams) == before


def test_pyplot_is_not_imported() -> None:
    check = "import llm_jepa.analysis.figures, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("length", [5, 20, 34])
def test_no_name_of_a_legend_is_cut_off(length: int) -> None:
    figure, _ = panel("Singular values", "index", "singular value")
    legend(figure, [(f"{index}" + "n" * (length - 1), line("#000000", "-")) for index in range(6)])
    figure.canvas.draw()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1
