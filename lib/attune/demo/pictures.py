"""Pictures of the demo shop's items: the figure tells the category, the ground the style; place, size and shade differ."""

import colorsys
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from attune.demo.catalogue import item_id, make_catalogue
from attune.demo.randomness import Ints, Mask
from attune.demo.vocabulary import STYLES
from attune.demo.world import World

FOLDER = "images"
_SIZE = 64
"""Pixels of each side."""


def has_picture(world: World, item: Ints) -> Mask:
    """Whether an item has a picture."""
    drawn: Mask = world.random.uniform("has picture", item) < world.image_share
    return drawn


def picture_path(item: int) -> str:
    """Where the picture of an item lies, under the root of the raw files."""
    return f"{FOLDER}/{item_id(item)}.png"


def write_pictures(world: World, root: str) -> None:
    """Write the picture of each item that has one, in place of those that lie there."""
    import pyarrow.fs

    from attune.staging import filesystem_of

    filesystem, folder = filesystem_of(f"{root}/{FOLDER}")
    if filesystem.get_file_info(folder).type == pyarrow.fs.FileType.Directory:
        filesystem.delete_dir(folder)
    filesystem.create_dir(folder)
    for item, content in draw_pictures(world, np.flatnonzero(has_picture(world, np.arange(world.num_items)))):
        with filesystem.open_output_stream(f"{folder.removesuffix(FOLDER)}{picture_path(item)}") as file:
            file.write(content)


def draw_pictures(world: World, items: Ints) -> Iterator[tuple[int, bytes]]:
    """Each item with its picture, a PNG."""
    catalogue = make_catalogue(world)
    places = world.random.uniform("picture", items[:, None], np.arange(5))
    for item, place in zip(items.tolist(), places, strict=True):
        yield item, _draw(int(catalogue.category[item]), int(catalogue.style[item]), *place)


def _draw(category: int, style: int, right: float, down: float, size: float, turn: float, shade: float) -> bytes:
    """A regular figure of 3 to 10 corners, full or hollow, on a ground of one hue."""
    corners, hollow = 3 + category // 2, category % 2 == 1
    hue = style / len(STYLES)
    image = Image.new("RGB", (_SIZE, _SIZE), _colour(hue, 0.35 + 0.15 * shade, 0.95))
    radius = _SIZE * (0.28 + 0.1 * size)
    centre = (_SIZE * (0.42 + 0.16 * right), _SIZE * (0.42 + 0.16 * down))
    ink = _colour(hue, 0.9, 0.25 + 0.2 * shade)
    ImageDraw.Draw(image).regular_polygon(
        (*centre, radius), corners, rotation=20 * turn, fill=None if hollow else ink, outline=ink, width=6
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
