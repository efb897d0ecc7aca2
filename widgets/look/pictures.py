"""The picture of the look panel; the page sends it in parts and gets a smaller one back."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from workbench import images
from workbench.errors import SettingError

MAX_UPLOAD = 20_000_000  # bytes
MAX_NAME = 120  # characters
SHOWN_SIDE = 1024  # pixels of the longer side
PRINTED_SIDE = 480
LOSSLESS_BYTES = 300_000  # a drawing stays below this as PNG, a photograph does not


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """A picture, 8-bit RGB. `number` counts a panel's pictures; `path` is its source file."""

    number: int
    image: Image.Image
    name: str
    path: str | None = None

    @property
    def file_name(self) -> str:
        """The name of its file; a picture without a file gets a name to be saved under."""
        return self.name if Path(self.name).suffix else f"{self.name}.png"

    @property
    def size_text(self) -> str:
        """Width and height in pixels as text."""
        return f"{self.image.width} × {self.image.height}"

    def shown(self) -> dict[str, Any]:
        """Return what the page draws: the picture's size, and the bytes of a smaller copy."""
        kind, data = encoded(smaller(self.image, SHOWN_SIDE))
        return {
            "number": self.number,
            "name": self.name,
            "width": self.image.width,
            "height": self.image.height,
            "type": kind,
            "data": data,
        }


def read_picture(number: int, source: images.ImageSource) -> Picture:
    """Read a picture from anything that `open_image` takes.

    Raises:
        ImageError: The picture cannot be read.
    """
    if isinstance(source, str | Path):
        return Picture(number, images.open_image(source), Path(source).name[:MAX_NAME], str(source))
    return Picture(number, images.open_image(source), "picture")


def smaller(image: Image.Image, side: int) -> Image.Image:
    """Return the picture, reduced if its longer side has more than `side` pixels."""
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)


def encoded(image: Image.Image) -> tuple[str, bytes]:
    """Return media type and bytes of a file: PNG, or JPEG if the PNG would be large."""
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 90})):
        file = BytesIO()
        image.save(file, kind, **options)
        if file.tell() <= LOSSLESS_BYTES:
            break
    return f"image/{kind.lower()}", file.getvalue()


def check_name(value: object) -> str:
    """Return a file's name for display: without control characters, and shortened."""
    if not isinstance(value, str) or len(value) > 10_000:
        raise SettingError("name must be the name of a file")
    name = "".join(character for character in value if character.isprintable()).strip()
    return name[:MAX_NAME] or "picture"
