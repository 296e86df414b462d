"""Pictures from bytes that anybody may have sent: an upright RGB image, or the reason why there is none.

Only the first frame of an animation counts, and only formats whose decoders run no other program are opened: Pillow would
start Ghostscript for an EPS file.
"""

import io
import warnings
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 50_000_000
"""Larger pictures are refused before a pixel is decoded: a few kB may unpack to gigabytes."""
MAX_RATIO = 50
"""Of the longer to the shorter side: models scale the shorter one to their size, and the other with it."""
NOT_A_PICTURE, DAMAGED, EMPTY, TOO_LARGE, ELONGATED = "not_a_picture", "damaged", "empty", "too_large", "elongated"
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def read_picture(content: bytes) -> tuple[Image.Image | None, str | None]:
    """The picture as RGB, turned as its EXIF says, on white where it is transparent; or None and the reason.

    >>> read_picture(b"<html>404</html>")
    (None, 'not_a_picture')
    """
    if not content:
        return None, EMPTY
    try:
        with warnings.catch_warnings():
            # Pillow warns of much that it repairs, and of pictures above its own limit; ours is checked here.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=_formats())
            if image.width * image.height > MAX_PIXELS:
                return None, TOO_LARGE
            if max(image.size) > MAX_RATIO * min(image.size):
                return None, ELONGATED
            return _upright(image), None
    except UnidentifiedImageError:
        return None, NOT_A_PICTURE
    except Image.DecompressionBombError:
        return None, TOO_LARGE
    except Exception:  # noqa: BLE001 - decoders raise nearly anything on broken bytes; the file is at fault, not the job
        return None, DAMAGED


@cache
def _formats() -> list[str]:
    """Those formats that this build of Pillow knows."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):
        # 16 bits of grey: Pillow itself would cut them off at 255.
        grey = np.clip(np.asarray(turned, dtype=np.int64), 0, 65535) // 256
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if turned.has_transparency_data:
        layer = turned.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return turned.convert("RGB")
