"""A visit tells what a page has done wrong: the tests of pages rely on it."""

from __future__ import annotations

from pathlib import Path

from tests.browser.paint import box, colors, contrast, pixels
from tests.browser.plugin import NARROW, OpenPage

FAULTY = """<!doctype html><html lang="en"><head><title>Faulty</title>
<meta http-equiv="Content-Security-Policy" content="style-src 'none'"></head>
<body><h1 style="color: red">Faulty</h1><input><img src="gone.png" alt="gone">
<script>console.warn("careful"); setTimeout(() => { document.title = "Thrown"; nobody() })</script></body></html>"""
SOUND = """<!doctype html><html lang="en"><head><title>Sound</title><style>
main { background: rgb(10, 20, 30); height: 50px; width: 60px }
@media (prefers-color-scheme: dark) { main { width: 90px } }
</style></head><body><main><h1 hidden>Sound</h1></main></body></html>"""


def address(folder: Path, html: str) -> str:
    (folder / "page.html").write_text(html, encoding="utf-8")
    return (folder / "page.html").as_uri()


def test_every_complaint_request_and_barrier_of_a_page_is_named(open_page: OpenPage, tmp_path: Path) -> None:
    visit = open_page(address(tmp_path, FAULTY))
    visit.page.wait_for_function("document.title === 'Thrown'")

    told = "\n".join(visit.complaints)
    for fault in ("Content Security Policy", "careful", "nobody is not defined", "gone.png"):
        assert fault in told
    assert [Path(url).name for url in visit.requested] == ["page.html", "gone.png"]
    assert any(barrier.startswith("label: <input") for barrier in visit.barriers())


def test_a_page_without_fault_has_no_complaint_and_is_painted_as_its_style_says(
    open_page: OpenPage, tmp_path: Path
) -> None:
    for dark, width in ((False, 60), (True, 90)):
        visit = open_page(address(tmp_path, SOUND), width=NARROW, dark=dark)
        assert (visit.complaints, visit.barriers()) == ([], [])
        assert box(visit, "main")[2:] == (width, 50)
        picture = pixels(visit.page.screenshot())
        assert picture.width == NARROW
        assert colors(picture, *box(visit, "main")) == {(10, 20, 30): width * 50}
    assert round(contrast((0, 0, 0), (255, 255, 255))) == 21
