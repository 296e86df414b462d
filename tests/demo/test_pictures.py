"""The pictures tell category and style to whoever looks at them, and are the same whenever they are drawn."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attune import config
from attune.demo.catalogue import make_catalogue
from attune.demo.generate import _items
from attune.demo.pictures import draw_pictures, has_picture, write_pictures
from attune.demo.world import World


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make(image_share=0.7)


def test_a_share_of_the_items_has_a_picture_where_its_path_says(world: World, tmp_path: Path) -> None:
    write_pictures(world, str(tmp_path))
    items = _items(world, np.arange(world.num_items))
    told = set(items["image"].dropna())
    assert told == {f"images/{file.name}" for file in (tmp_path / "images").iterdir()}
    assert len(told) / len(items) == pytest.approx(0.7, abs=0.05)
    (tmp_path / "images" / "stale.png").write_bytes(b"")
    write_pictures(world, str(tmp_path))
    assert not (tmp_path / "images" / "stale.png").exists()


def test_without_pictures_nothing_changes(make: Callable[..., World]) -> None:
    plain = make()
    assert not has_picture(plain, np.arange(plain.num_items)).any()
    assert _items(plain, np.arange(50))["image"].isna().all()


def test_pictures_show_style_and_category(world: World) -> None:
    """The nearest other picture, pixel by pixel, is of the same style and category far more often than by chance."""
    items = np.arange(400)
    drawn = [content for _, content in draw_pictures(world, items)]
    assert drawn == [content for _, content in draw_pictures(world, items)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(content)), np.float32).ravel() for content in drawn])
    distance = (pixels**2).sum(1)[:, None] - 2 * pixels @ pixels.T + (pixels**2).sum(1)
    np.fill_diagonal(distance, np.inf)
    nearest, catalogue = distance.argmin(1), make_catalogue(world)
    assert (catalogue.style[items] == catalogue.style[nearest]).mean() > 0.7, "by chance it is 0.1"
    assert (catalogue.category[items] == catalogue.category[nearest]).mean() > 0.2, "by chance it is 0.06"


def test_the_settings_over_demo_name_the_pictures() -> None:
    settings = config.load(["demo", "demo_images"])
    assert settings.generate.image_share == 0.7
    assert settings.inputs.items is not None
    assert settings.inputs.items.columns["image_path"] == "image"
    assert settings.image_root == settings.inputs_root
