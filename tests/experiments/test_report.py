import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.experiments.sample_runs import results, write_run, write_sweep

from llm_jepa.errors import UserError
from llm_jepa.experiments.report import write_report

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
    assert page.count("table") == 3
    assert page.count("figure") == 9
    assert page.count("article") == 12
    assert "How to read the measures" in page.text
    assert "learning_rate: 0.002" in page.text
    assert '"torch": "2.13.0"' in page.text
    assert "53 examples, 6 shown" in page.text


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
    assert len(links) == 9
    assert all((tmp_path / link).read_text().startswith("<svg") for link in links)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
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


def test_every_p_value_in_the_table_has_its_seeds_and_correction(tmp_path: Path) -> None:
    text = write_report(write_sweep(tmp_path), title="t").read_text(encoding="utf-8")
    table = text[text.index('<table class="tests">') :]
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table[: table.index("</table>")], re.DOTALL)
    assert len(rows) == 4
    assert all(re.search(r"p\W[=<>]\W\S+ \(5 seeds, Holm over 4\)", row) for row in rows)


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
