"""A screenshot as pixels, so that tests can look at what was really painted."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from tests.browser.plugin import Visit

Color = tuple[int, int, int]


def pixels(png: bytes) -> Image.Image:
    """The screenshot without transparency."""
    return Image.open(BytesIO(png)).convert("RGB")


def colors(picture: Image.Image, left: float, top: float, width: float, height: float) -> dict[Color, int]:
    """How often each colour stands in a rectangle, as far as the picture holds it."""
    right, bottom = min(int(left + width), picture.width), min(int(top + height), picture.height)
    part = picture.crop((max(int(left), 0), max(int(top), 0), right, bottom))
    return {color: count for count, color in part.getcolors(part.width * part.height)}


def box(visit: Visit, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of the first such element in the window."""
    found = visit.page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return found["x"], found["y"], found["width"], found["height"]


def light(color: Color) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    parts = [value / 255 for value in color]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: Color, b: Color) -> float:
    """How far two colours stand apart, 1 to 21 (WCAG 2.2)."""
    dark, bright = sorted((light(a), light(b)))
    return (bright + 0.05) / (dark + 0.05)
