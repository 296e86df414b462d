"""Image encoders of transformers: a copy in the workspace, and one vector a picture.

Any model that AutoModel reads pictures with will do: CLIP and SigLIP (whole, or their vision part), ViT, DINOv2, BEiT,
Swin, ConvNeXt, ResNet. Shapes: B pictures, T patches, D features.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from attune.errors import InputError, MissingError
from attune.models.precision import autocast, use_bfloat16
from attune.models.store import ModelStore, file_sha256

if TYPE_CHECKING:
    from PIL import Image

TASK = "image_encoder"
_PATTERNS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Files of an encoder that are of use; a pickle beside them stays where it is."""
_BATCH = 32


class ImageEncoder:
    """A model with the image processor that it was trained with, on one device."""

    def __init__(
        self, model: torch.nn.Module, processor: Any, pooled: bool, device: torch.device, precision: str
    ) -> None:
        self._model = model.to(device).eval()
        self._processor = processor
        self._pooled = pooled
        self._device = device
        self._bfloat16 = use_bfloat16(precision, device)

    def encode(self, pictures: "Iterable[Image.Image]") -> NDArray[np.float32]:
        """Vectors of length 1 of RGB pictures, (B, D); (0, 0) of none."""
        # One by one, so that of many large pictures only the small copies that the model sees are held.
        pixels = [self._processor(images=picture, return_tensors="pt")["pixel_values"] for picture in pictures]
        parts = []
        with torch.inference_mode(), autocast(self._device, self._bfloat16):
            for start in range(0, len(pixels), _BATCH):
                batch = torch.cat(pixels[start : start + _BATCH]).to(self._device)
                parts.append(torch.nn.functional.normalize(self._features(batch).float(), dim=-1).cpu())
        return torch.cat(parts).numpy() if parts else np.zeros((0, 0), np.float32)

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the model gives of (B, 3, H, W), as (B, D)."""
        if features := getattr(self._model, "get_image_features", None):
            given = features(pixel_values=pixels)
            return given if isinstance(given, torch.Tensor) else given.pooler_output
        output = self._model(pixel_values=pixels)
        if self._pooled and getattr(output, "pooler_output", None) is not None:
            return output.pooler_output.flatten(1)
        hidden = output.last_hidden_state
        return hidden.mean(dim=(2, 3)) if hidden.dim() == 4 else hidden[:, 0]


def store_image_encoder(name: str, store: ModelStore) -> Path:
    """Copy an encoder into the workspace, from where every worker reads it. Returns its folder; its name is its version.

    The version is a hash of the files, so the same encoder is stored once, however it is named. Raises MissingError where a hub
    name cannot be had, InputError where a folder holds no encoder of pictures with safetensors weights.
    """
    source = _source(name)
    files = sorted({file for pattern in _PATTERNS for file in source.glob(pattern)})
    if not any(file.suffix == ".safetensors" for file in files):
        raise InputError(
            f"score.image_encoder: {name} has no *.safetensors: save the weights in that format, or take another model"
        )
    hashes = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    version = hashlib.sha256(hashes.encode()).hexdigest()[:16]
    if version not in store.versions(TASK):
        load_image_encoder(
            source, torch.device("cpu"), "float32"
        )  # before the copy, so that an error names what was given

        def write(folder: Path) -> None:
            for file in files:
                shutil.copyfile(file, folder / file.name)

        store.save(TASK, version, write, {"source": name})
    store.promote(TASK, version)
    return store.latest(TASK)


def load_image_encoder(folder: Path | str, device: torch.device, precision: str) -> ImageEncoder:
    """Encoder of a folder. Raises InputError where it is none of pictures, or has not all of its weights."""
    from transformers import AutoImageProcessor, AutoModel
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, **_pillow_alone())
        model, info = AutoModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"score.image_encoder: {folder} cannot be read as a model of pictures ({_short(error)}): give a folder or hub name "
            "of a vision model, with its preprocessor_config.json"
        ) from error
    # Where the last layer was not stored, as in a ViT with a classification head, its place is taken by the first token.
    missing = sorted(info["missing_keys"])
    pooled = not any("pooler" in key for key in missing)
    if others := [key for key in missing if "pooler" not in key]:
        raise InputError(f"score.image_encoder: {folder} lacks weights, such as {others[0]}: take a complete model")
    if getattr(model, "main_input_name", "") != "pixel_values" and not hasattr(model, "get_image_features"):
        raise InputError(f"score.image_encoder: {folder} does not read pictures: it is a {type(model).__name__}")
    return ImageEncoder(model, processor, pooled, device, precision)


def _source(name: str) -> Path:
    """Local folder of an encoder; one of the hub is brought to its cache."""
    if os.path.isdir(name):
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except (OSError, ValueError) as error:
        raise MissingError(
            f"score.image_encoder: {name!r} is no local folder and cannot be had from the hub ({_short(error)}): give a folder"
        ) from error


def _pillow_alone() -> dict[str, object]:
    """Arguments with which pictures are scaled by Pillow, so that a machine with torchvision makes the same vectors."""
    import transformers

    return {"backend": "pil"} if int(transformers.__version__.partition(".")[0]) >= 5 else {"use_fast": False}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
