"""Columns as arrays of numbers: what the decisions of cleaning are made on."""

from binascii import hexlify
from hashlib import blake2b

import numpy as np
import pyarrow as pa


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece; one that is in one already is not copied."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def codes(column: pa.ChunkedArray) -> np.ndarray:
    """Integers that are equal where values are, int32; -1 for null."""
    return whole(column).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)


def hex_ids(prefix: str, hashed: np.ndarray, number: np.ndarray) -> pa.Array:
    """Texts of a prefix and 32 hexadecimal digits that are a function of two 64-bit integers each."""
    hashed, number = hashed.astype(np.int64).view(np.uint64), number.astype(np.int64).view(np.uint64)
    halves = [_mix(_mix(hashed ^ np.uint64(salt)) + number) for salt in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)]
    digits = np.frombuffer(hexlify(np.stack(halves, axis=1).astype(">u8").tobytes()), np.uint8).reshape(-1, 32)
    head = np.frombuffer(prefix.encode(), np.uint8)
    text = np.hstack([np.broadcast_to(head, (len(digits), len(head))), digits])
    offsets = np.arange(len(text) + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()))


def _mix(bits: np.ndarray) -> np.ndarray:
    """Finalizer of SplitMix64 (Steele, Lea, Flood 2014), a bijection of 64 bits."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def text_hash(texts: pa.Array) -> np.ndarray:
    """Hash of each text, int64, the same on every run; 0 for null."""
    encoded = texts.dictionary_encode()
    values = encoded.dictionary.cast(pa.binary()).to_pylist()
    hashed = [int.from_bytes(blake2b(value, digest_size=8).digest(), "little", signed=True) for value in values]
    found = np.append(np.array(hashed, np.int64), 0)
    return found[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]
