"""A tiny vision transformer with random weights, and pictures to show it."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import ViTConfig, ViTImageProcessor, ViTModel


def write_tiny_vit(folder: Path, seed: int = 0, pooler: bool = False) -> str:
    """Write an encoder folder: two layers of 16 features, pictures of 32 by 32. Returns its path."""
    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    ViTModel(config, add_pooling_layer=pooler).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def picture(colour: str, seed: int = 0, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """One colour with some noise, so that no two seeds give the same picture."""
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    plain = np.asarray(Image.new("RGB", size, colour), dtype=np.int64)
    return Image.fromarray(np.clip(plain + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of a file of that kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
