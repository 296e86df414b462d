"""Whatever lies under the path of a picture is a picture or has a reason; nothing in it stops or kills a job."""

import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from attune.models.pictures import MAX_PIXELS, read_picture
from models.tiny_vit import encoded, picture

RED = Image.new("RGB", (40, 30), (200, 10, 10))


def colours(content: bytes) -> np.ndarray:
    image, reason = read_picture(content)
    assert reason is None
    assert image is not None
    assert image.mode == "RGB"
    return np.asarray(image)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says so in its header, and unpacks to zeros: a few kB of file for as many pixels as wanted."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00" * min(10_000_000, height * (width * 3 + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_usual_formats_are_read(kind: str) -> None:
    np.testing.assert_allclose(colours(encoded(RED, kind))[15, 20], [200, 10, 10], atol=6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "not_a_picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not_a_picture"),
        (b"\x89PNG\r\n\x1a\n", "not_a_picture"),
        (encoded(picture("red"))[:400], "damaged"),
        (encoded(picture("red"), "JPEG")[:-200], "damaged"),
        (png_of_size(100_000, 100_000), "too_large"),
        (png_of_size(10_000, MAX_PIXELS // 10_000 + 1), "too_large"),
        (png_of_size(2_000_000_000, 2_000_000_000), "too_large"),
        (png_of_size(20_000, 20), "elongated"),
    ],
    ids=["empty", "html", "eps", "header", "cut png", "cut jpeg", "bomb", "pixels", "size", "elongated"],
)  # fmt: skip
def test_what_is_no_picture_has_a_reason(content: bytes, reason: str) -> None:
    tracemalloc.start()
    assert read_picture(content) == (None, reason)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_only_the_first_frame_of_an_animation_counts() -> None:
    blue = Image.new("RGB", RED.size, "blue")
    np.testing.assert_allclose(
        colours(encoded(RED, "GIF", save_all=True, append_images=[blue] * 50))[0, 0], [200, 10, 10], atol=6
    )


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "YCbCr", "LA"])
def test_other_colours_become_rgb(mode: str) -> None:
    kind = "PNG" if mode in ("L", "1", "P", "LA") else "JPEG"
    found = colours(encoded(Image.new("RGB", (32, 32), "white").convert(mode), kind))
    np.testing.assert_allclose(found, 255, atol=3)


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    shades = np.linspace(0, 65535, 32, dtype=np.uint16)[None, :].repeat(32, 0)
    found = colours(encoded(Image.fromarray(shades)))[0, :, 0]
    assert (np.diff(found.astype(int)) > 0).all()
    assert (found[0], found[-1]) == (0, 255)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    clear.paste((200, 10, 10, 255), (0, 0, 16, 32))
    found = colours(encoded(clear))
    assert found[0, 31].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == [200, 10, 10]
    palette = clear.convert("P")
    palette.info["transparency"] = palette.getpixel((31, 0))
    assert colours(encoded(palette))[0, 31].tolist() == [255, 255, 255]


def test_pictures_stand_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: to be shown turned by a quarter
    turned = RED.copy()
    turned.paste("blue", (0, 0, 40, 5))
    found = colours(encoded(turned, "JPEG", exif=exif, quality=95))
    assert found.shape == (40, 30, 3)
    assert found[20, 29, 2] > 200, "the upper edge is on the right now"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_flipped_bytes_never_raise(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sound = encoded(picture("green"), kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}))
    generator = random.Random(7)
    outcomes = set()
    for _ in range(300):
        broken = bytearray(sound)
        for _ in range(generator.randint(1, 8)):
            broken[generator.randrange(min(len(broken), 600))] = generator.randrange(256)
        image, reason = read_picture(bytes(broken[: generator.randint(1, len(broken))]))
        assert (image is None) == (reason is not None)
        outcomes.add(reason)
    assert len(outcomes) > 1
