"""What a plot is drawn on: SVG, which needs nothing, or PNG, which Pillow writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from pathlib import Path

from jackfield.errors import ConfigError

Point = tuple[float, float]  # pixels from the left, and from the top
_SCALE = 2  # pixels of a PNG for one of an SVG, so that it is sharp
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}  # of a text: SVG's word, Pillow's


class Canvas(ABC):
    """A white rectangle to draw on."""

    @abstractmethod
    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        """Draw a line through points."""

    @abstractmethod
    def dot(self, centre: Point, colour: str, radius: float = 3) -> None:
        """Draw a filled circle."""

    @abstractmethod
    def text(
        self,
        place: Point,
        text: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = "#000",
    ) -> None:
        """Write a line of text above `place`, which is its start, middle or end."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the file."""


def canvas_for(path: Path, width: int, height: int) -> Canvas:
    """A canvas for a file that ends with .svg or .png. Raises ConfigError."""
    suffix = path.suffix.lower()
    if suffix == ".svg":
        return SvgCanvas(width, height)
    if suffix == ".png":
        return PngCanvas(width, height)
    raise ConfigError(f"--picture takes a file that ends with .svg or .png, got {path}")


class SvgCanvas(Canvas):
    """A picture as text, which every browser shows."""

    def __init__(self, width: int, height: int) -> None:
        sizes = f'width="{width}" height="{height}" font-family="sans-serif"'
        background = '<rect width="100%" height="100%" fill="white"/>'
        self._parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {sizes}>{background}']

    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        """See Canvas."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def dot(self, centre: Point, colour: str, radius: float = 3) -> None:
        """See Canvas."""
        x, y = centre
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def text(
        self,
        place: Point,
        text: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = "#000",
    ) -> None:
        """See Canvas."""
        x, y = place
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}">{escape(text)}</text>'
        )

    def save(self, path: Path) -> None:
        """See Canvas."""
        path.write_text("".join([*self._parts, "</svg>\n"]), encoding="utf-8")


class PngCanvas(Canvas):
    """A picture of pixels. Raises ConfigError if Pillow is not installed."""

    def __init__(self, width: int, height: int) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError:
            raise ConfigError(
                "a PNG is drawn by Pillow. Try: pip install 'jackfield-openai-server[png]', or name a file that ends with .svg"
            ) from None
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default

    def line(self, points: Sequence[Point], colour: str, width: float = 1) -> None:
        """See Canvas."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, colour, round(width * _SCALE), joint="curve")

    def dot(self, centre: Point, colour: str, radius: float = 3) -> None:
        """See Canvas."""
        x, y = centre
        self._draw.circle((x * _SCALE, y * _SCALE), radius * _SCALE, colour)

    def text(
        self,
        place: Point,
        text: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = "#000",
    ) -> None:
        """See Canvas."""
        x, y = place
        font = self._font(size * _SCALE)
        self._draw.text((x * _SCALE, y * _SCALE), text, colour, font, _ANCHORS[anchor])

    def save(self, path: Path) -> None:
        """See Canvas."""
        self._image.save(path, format="PNG")
