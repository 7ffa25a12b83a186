import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.experiments.sample_runs import (
    results,
    write_grid,
    write_run,
    write_sweep,
)

from llm_jepa.errors import UserError
from llm_jepa.experiments.report.writing import write_report

HOSTILE = "</pre></article><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}`````\u202e\x00\ud800&lt;"
VOID = {"meta", "br", "img", "input", "link", "hr"}


class _Page(HTMLParser):
    """Reads a page: its elements, their text, and whether every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def _prediction(name: str, generated: str, **more: object) -> dict:
    row = {"name": name, "prompt": "p", "expected": "a.*", "generated": generated, "stopped": True, "tokens": 3}
    return row | more


def test_the_page_has_verdict_tables_figures_and_predictions(tmp_path: Path) -> None:
    path = write_report(write_sweep(tmp_path), title="Does it help?")
    page = _Page(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "report.html"
    assert "JEPA with weight 0.05 scored" in page.text
    assert page.text.index("JEPA with weight") < page.text.index("Exact match (%)")
    assert page.count("table") == 4
    assert page.count("figure") == 11
    assert page.count("article") == 12
    assert "How to read the measures" in page.text
    assert "learning_rate: 0.002" in page.text
    assert '"torch": "2.13.0"' in page.text
    assert "52 examples, 6 shown" in page.text


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = write_report(write_sweep(tmp_path), title="t").read_text(encoding="utf-8")
    page = _Page(text)
    assert "default-src 'none'" in text
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", text)
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}


def test_the_page_is_made_for_readers_of_all_kinds(tmp_path: Path) -> None:
    text = write_report(write_sweep(tmp_path), title="t").read_text(encoding="utf-8")
    page = _Page(text)
    assert ("html", {"lang": "en"}) in page.tags
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert all("aria-label" in attributes for tag, attributes in page.tags if tag == "svg")
    identities = [attributes["id"] for tag, attributes in page.tags if "id" in attributes and tag == "h2"]
    assert len(identities) == len(set(identities))
    assert '<span class="said">[extra: </span>' in text


def test_the_same_runs_give_the_same_bytes_and_no_drafts_stay(tmp_path: Path) -> None:
    first = write_report(write_sweep(tmp_path), title="t").read_bytes()
    assert write_report(tmp_path, title="t").read_bytes() == first
    assert {path.name for path in tmp_path.iterdir()} == {
        *("plain", "jepa", "shuffled", "jepa weight 1"),
        *("report.html", "report.md", "report-figures"),
    }


def test_markdown_says_the_same_and_links_its_figures(tmp_path: Path) -> None:
    write_report(write_sweep(tmp_path), title="Does *it* help?")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Does \\*it\\* help?\n\n**JEPA with weight 0.05 scored")
    assert "| Exact match (%) | 55." in text
    assert "(5 seeds, Holm over 4)" in text
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(links) == 11
    assert all((tmp_path / link).read_text().startswith("<svg") for link in links)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({row.replace("\\|", "").count("|") for row in table}) == 1


def test_what_models_write_does_no_harm(tmp_path: Path) -> None:
    for arm, generated in (("plain", HOSTILE), ("jepa", "a.*")):
        rows = [_prediction(HOSTILE, generated, prompt=HOSTILE), _prediction("2", HOSTILE, expected=HOSTILE)]
        folder = write_run(tmp_path, results(arm, 82, 0.5), predictions=rows)
        (folder / "config.yaml").write_text("task: </pre><script>alert(2)</script>\n")
        (folder / "environment.json").write_bytes(b'{"host": "\xff<script>"}')
    text = write_report(tmp_path, title=HOSTILE).read_text(encoding="utf-8")
    page = _Page(text)
    assert page.count("script") == 0
    assert page.count("img") == 0
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert page.count("article") == 2
    assert "{{ 7 * 7 }}" in page.text
    assert "\\u202e\\x00\\ud800" in page.text
    assert "\u202e" not in text
    assert "\x00" not in text


def test_markdown_fences_outlast_the_backticks_in_them(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5), predictions=[_prediction("1", "```\n# not a heading\n```````")])
    write_report(tmp_path, title="t")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\n````````text\n```\n# not a heading\n```````\n````````\n" in text


def test_hostile_arm_names_stay_names(tmp_path: Path) -> None:
    for arm in ("<b>jepa</b> | $x$", "plain"):
        for seed in (1, 2):
            metrics = [{"step": 1, "next_token": 2.0, "jepa": 1.0}, {"step": 2, "next_token": 1.0, "cosine_matched": 0.5}]
            row = results(arm, seed, 0.5 + 0.01 * seed * (arm != "plain"))
            write_run(tmp_path, row, metrics=metrics, predictions=[_prediction("1", "a")])
    page = _Page(write_report(tmp_path, title="t").read_text(encoding="utf-8"))
    assert page.count("b") == 0
    assert "<b>jepa</b> | $x$ over plain" in page.text
    assert "\\<b\\>jepa\\</b\\> \\| \\$x\\$ over plain" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_one_run_with_nothing_optional_still_gives_a_page(tmp_path: Path) -> None:
    write_run(tmp_path, results("plain", 82, 0.5))
    page = _Page(write_report(tmp_path, title="t").read_text(encoding="utf-8"))
    assert "no gain can be measured" in page.text
    assert "What the models wrote" not in page.text
    assert "Is a difference more than chance?" not in page.text
    assert page.count("figure") == 1


def test_one_seed_shows_no_p_value(tmp_path: Path) -> None:
    path = write_report(write_sweep(tmp_path, arms=("plain", "jepa"), seeds=(82,)), title="t")
    page = _Page(path.read_text(encoding="utf-8"))
    assert "one seed: no test is possible" in page.text
    assert not re.search(r"\bp\s[=<>]", page.text)


@pytest.mark.parametrize("name", ["report.html", "report.md"])
@pytest.mark.parametrize("full", [False, True])
def test_every_p_value_has_its_n_and_its_correction(tmp_path: Path, name: str, full: bool) -> None:
    write_report(write_sweep(tmp_path, full=full), title="t")
    text = (tmp_path / name).read_text(encoding="utf-8")
    said = _Page(text).text if name == "report.html" else text.replace("\\", "")
    said = said.replace("\u00a0", " ")
    found = re.findall(r"p [=<>] ?[\d.]*\d(?=(.{0,50}))", said, re.DOTALL)
    whole = re.compile(r" \(\d+ (seed|example)s?, (Holm over \d+|one comparison|uncorrected)\)")
    assert len(found) == 2 + 3 * 4 + (5 if full else 0)
    assert [rest for rest in found if not whole.match(rest)] == []


def test_changes_of_the_configuration_are_shown(tmp_path: Path) -> None:
    page = _Page(write_report(write_sweep(tmp_path), title="t").read_text(encoding="utf-8"))
    assert "Configuration of jepa, seed 4: changes" in page.text
    assert "-  weight: 0.0\n" in page.text
    assert "+  weight: 0.05\n" in page.text


def test_a_search_on_validation_rows_is_left_out_and_said(tmp_path: Path) -> None:
    write_run(tmp_path / "search", results("jepa", 82, 0.9) | {"split": "validation"})
    write_run(tmp_path, results("plain", 82, 0.5))
    page = _Page(write_report(tmp_path, title="t").read_text(encoding="utf-8"))
    assert "1 run, scored on 2,000 rows of “test”" in page.text
    assert "Not shown: 1 run, scored on other rows." in page.text


def test_a_corrupted_prediction_is_named_and_the_old_page_stays(tmp_path: Path) -> None:
    folder = write_run(tmp_path, results("plain", 82, 0.5), predictions=[_prediction("1", "a")])
    page = write_report(tmp_path, title="t")
    before = page.read_bytes()
    with (folder / "predictions.jsonl").open("a") as file:
        file.write(json.dumps(_prediction("2", "b"))[:-9] + "\n")
    with pytest.raises(UserError, match=r"predictions\.jsonl:2: "):
        write_report(tmp_path, title="t")
    assert page.read_bytes() == before


def test_a_grid_has_named_arms_a_heat_map_and_one_chosen_on_validation(tmp_path: Path) -> None:
    page = _Page(write_report(write_grid(tmp_path), title="t").read_text(encoding="utf-8"))
    assert "the best of 20 arms on the validation rows, scored" in page.text
    assert "jepa weight 0.5, k 0" in page.text
    assert "All 21 arms" in page.text
    assert "18 more comparisons" in page.text or "19 more comparisons" in page.text
    assert (tmp_path / "report-figures" / "grid-1.svg").exists()
    assert "Drawn are 2 of 21 arms." in page.text


def test_each_arm_of_a_grid_is_compared_with_plain_training_of_its_own_rate(tmp_path: Path) -> None:
    text = write_report(write_grid(tmp_path, rates=(1e-5, 2e-5)), title="t").read_text(encoding="utf-8")
    page = _Page(text)
    assert "jepa weight 4, k 4, learning rate 1e-5 over plain learning rate 1e-5" in page.text
    assert "learning rate 1e-5 over plain learning rate 2e-5" not in page.text
    assert "(2\u00a0seeds, Holm over 40)" in page.text
    assert (tmp_path / "report-figures" / "grid-2.svg").exists()


def test_what_may_be_added_to_a_run_is_shown(tmp_path: Path) -> None:
    page = _Page(write_report(write_sweep(tmp_path, full=True), title="t").read_text(encoding="utf-8"))
    drawn = {path.stem for path in (tmp_path / "report-figures").iterdir()}
    assert {"eval-accuracy", "compute", "spectrum", "tsne-1", "tsne-4"} <= drawn
    assert "Scored on the validation rows." in page.text
    assert "Mean of the top 100 singular values" in page.text
    assert "The same examples, one by one" in page.text
    assert "Free continuations" in page.text
    assert "a man riding" in page.text
    assert "At the same compute" in page.text


def test_continuations_do_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path, results("plain", 82, 0.5))
    row = {"name": "1", "prompt": HOSTILE, "expected": HOSTILE, "generated": HOSTILE, "stopped": False, "tokens": 9}
    (folder / "samples.jsonl").write_text(json.dumps(row) + "\n")
    page = _Page(write_report(tmp_path, title="t").read_text(encoding="utf-8"))
    assert page.count("script") + page.count("img") == 0
    assert "did not stop within 9 tokens" in page.text


def test_the_power_of_the_design_is_said(tmp_path: Path) -> None:
    page = _Page(write_report(write_sweep(tmp_path / "five"), title="t").read_text(encoding="utf-8"))
    assert re.search(r"With 5\Wseeds and this spread, a true gain of \d\.\d\Wpoints of jepa over plain would", page.text)
    one = write_report(write_sweep(tmp_path / "one", arms=("plain", "jepa"), seeds=(82,)), title="t")
    assert "One seed allows no test" in _Page(one.read_text(encoding="utf-8")).text


def test_several_roots_and_another_place_for_the_report(tmp_path: Path) -> None:
    write_run(tmp_path / "a", results("plain", 82, 0.5))
    write_run(tmp_path / "b", results("jepa", 82, 0.5))
    roots = tmp_path / "a", tmp_path / "b", tmp_path / "b" / "jepa"
    assert write_report(*roots, title="t") == tmp_path.resolve() / "report.html"
    page = write_report(*roots, title="t", output=tmp_path / "out", remarks=["Chosen on the <test> rows."])
    assert page == tmp_path / "out" / "report.html"
    assert "2 runs, scored" in page.read_text(encoding="utf-8")
    assert "Chosen on the &lt;test&gt; rows." in page.read_text(encoding="utf-8")
