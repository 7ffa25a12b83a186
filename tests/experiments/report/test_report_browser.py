"""The page in a real browser: it asks for nothing, logs no error, and fits a phone."""

import base64
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from tests.experiments.sample_runs import write_grid, write_sweep

from llm_jepa.experiments.report.writing import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
WRAPPER = """<!doctype html><html style="color-scheme: light dark"><title></title><body style="margin: 0">
<iframe style="border: 0; height: 900px; width: %dpx"></iframe>
<script type="text/plain" id="page">%s</script>
<script>
const frame = document.querySelector("iframe");
const bytes = Uint8Array.from(atob(document.getElementById("page").textContent), (sign) => sign.charCodeAt(0));
frame.srcdoc = new TextDecoder().decode(bytes);
frame.onload = () => {
  const inside = frame.contentWindow, shown = frame.contentDocument;
  const wide = [...shown.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.right > inside.innerWidth + 1 && !element.closest(".scroll, .said, svg");
  });
  document.title = JSON.stringify({
    width: inside.innerWidth,
    content: shown.documentElement.scrollWidth,
    wide: wide.map((element) => element.outerHTML.slice(0, 200)),
    requests: inside.performance.getEntriesByType("resource").map((entry) => entry.name),
    background: inside.getComputedStyle(shown.body).backgroundColor,
  });
};
</script>"""
"""A window of chromium is at least 500 pixels wide, so the page is shown in a frame, for which its rules hold as well."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def _chromium(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def _probed(page: Path, *options: str, width: int) -> dict:
    """Open the page in a frame of some width, and return what a script beside the frame sees of it."""
    wrapper = page.with_name("wrapper.html")
    wrapper.write_text(WRAPPER % (width, base64.b64encode(page.read_bytes()).decode()))
    done = _chromium("--hide-scrollbars", "--window-size=1400,900", *options, "--dump-dom", wrapper.as_uri())
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert title is not None
    return json.loads(unescape(title[1]))


@pytest.fixture(scope="module", params=["arms", "grid"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    runs = write_sweep(root, seeds=(23, 82), full=True) if request.param == "arms" else write_grid(root, rates=(1e-5, 2e-5))
    return write_report(runs, title="Does it help?" * 5)


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_the_window_and_asks_for_nothing(page: Path, width: int) -> None:
    found = _probed(page, width=width)
    assert found["width"] == width
    assert found["wide"] == []
    assert found["content"] <= width
    assert found["requests"] == []


@pytest.mark.slow
def test_the_page_follows_the_dark_scheme(page: Path) -> None:
    assert _probed(page, width=1280)["background"] == "rgb(255, 255, 255)"
    assert _probed(page, "--blink-settings=preferredColorScheme=0", width=1280)["background"] == "rgb(20, 23, 27)"


@pytest.mark.slow
def test_what_is_folded_is_printed(page: Path, tmp_path: Path) -> None:
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext on this machine")
    _chromium(f"--print-to-pdf={tmp_path / 'page.pdf'}", page.as_uri())
    printed = subprocess.run([reader, str(tmp_path / "page.pdf"), "-"], capture_output=True, text=True, check=True).stdout
    assert "shuffle_pairs: false" in printed
