"""A screenshot as pixels, so that tests can look at what was really painted."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """Rows of RGB or RGBA bytes."""

    width: int
    height: int
    channels: int
    rows: list[bytes]

    def at(self, x: int, y: int) -> Color:
        start = x * self.channels
        red, green, blue = self.rows[y][start : start + 3]
        return red, green, blue

    def colors(self, left: float, top: float, width: float, height: float) -> dict[Color, int]:
        """How often each colour stands in a rectangle."""
        found: dict[Color, int] = {}
        for y in range(max(int(top), 0), min(int(top + height), self.height)):
            for x in range(max(int(left), 0), min(int(left + width), self.width)):
                color = self.at(x, y)
                found[color] = found.get(color, 0) + 1
        return found


def decode(data: bytes) -> Picture:
    """PNG with 8 bits per channel and no interlace, as browsers write it (ISO/IEC 15948, filters of section 9)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    body, place = b"", 8
    header = (0, 0, 0, 0, 0)
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, *_, interlace = struct.unpack(">IIBBBBB", chunk)
            header = (width, height, depth, color, interlace)
        elif kind == b"IDAT":
            body += chunk
        place += 12 + length
    width, height, depth, color, interlace = header
    assert (depth, interlace) == (8, 0)
    channels = {2: 3, 6: 4}[color]
    return Picture(width, height, channels, _rows(zlib.decompress(body), width * channels, channels))


def _rows(raw: bytes, stride: int, channels: int) -> list[bytes]:
    rows: list[bytes] = []
    above = bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        row = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], row, above, channels)
        rows.append(bytes(row))
        above = row
    return rows


def _unfilter(kind: int, row: bytearray, above: bytearray, channels: int) -> None:
    for i in range(len(row)) if kind else ():
        left = row[i - channels] if i >= channels else 0
        corner = above[i - channels] if i >= channels else 0
        match kind:
            case 1:
                guess = left
            case 2:
                guess = above[i]
            case 3:
                guess = (left + above[i]) // 2
            case _:
                guess = _paeth(left, above[i], corner)
        row[i] = (row[i] + guess) & 0xFF


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
