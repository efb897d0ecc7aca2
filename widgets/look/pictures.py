"""A picture as the look panel keeps it: it comes from the page in parts and goes back smaller."""

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
    """A picture, 8-bit RGB. `number` counts those of a panel; `path` is where it was read from."""

    number: int
    image: Image.Image
    name: str
    path: str | None = None

    @property
    def file_name(self) -> str:
        """The name of its file; one that never had a file has to be saved under some name."""
        return self.name if Path(self.name).suffix else f"{self.name}.png"

    @property
    def size_text(self) -> str:
        """Width and height in pixels, as a person reads them."""
        return f"{self.image.width} × {self.image.height}"

    def shown(self) -> dict[str, Any]:
        """What the page draws: the picture's own size, and the bytes of a smaller one."""
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
    """The picture in whatever `open_image` takes.

    Raises:
        ImageError: It cannot be read.
    """
    if isinstance(source, str | Path):
        return Picture(number, images.open_image(source), Path(source).name[:MAX_NAME], str(source))
    return Picture(number, images.open_image(source), "picture")


def smaller(image: Image.Image, side: int) -> Image.Image:
    """The picture, reduced where its longer side has more than `side` pixels."""
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)


def encoded(image: Image.Image) -> tuple[str, bytes]:
    """Media type and bytes of a file: PNG for drawings, JPEG for what PNG cannot make small."""
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
