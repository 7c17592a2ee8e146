"""Arrays in a log: packed into JSON objects, and hashed for its header."""

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode_array(array: np.ndarray) -> dict[str, Any]:
  """Packs an array into a JSON object, losslessly.

  Bytes of equal significance are put side by side before compression: signs and
  exponents of scores are alike, and flags take a few bits each.
  """
  array = np.asarray(array)
  planes = (
    np.ascontiguousarray(array)
    .reshape(-1)
    .view(np.uint8)
    .reshape(-1, array.dtype.itemsize)
  )
  packed = zlib.compress(np.ascontiguousarray(planes.T).tobytes(), level=1)
  return {
    "dtype": _spell_dtype(array.dtype),
    "shape": list(array.shape),
    "data": base64.b85encode(packed).decode("ascii"),
  }


def decode_array(packed: dict[str, Any]) -> np.ndarray:
  """Unpacks what `encode_array` packed."""
  dtype = np.dtype(packed["dtype"])
  planes = np.frombuffer(
    zlib.decompress(base64.b85decode(packed["data"])), np.uint8
  ).reshape(dtype.itemsize, -1)
  flat = np.ascontiguousarray(planes.T).reshape(-1).view(dtype)
  return flat.reshape(packed["shape"])


def _spell_dtype(dtype: np.dtype) -> str:
  """With its byte order; bfloat16 and its like are known by name alone."""
  return dtype.str if np.dtype(dtype.str) == dtype else dtype.name


def hash_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """The number of prompts in a batch, and a hash over its bytes, for a header.

  Args:
    arrays: [Q, ...] by name.
  """
  digest = hashlib.sha256()
  for name in sorted(arrays):
    array = np.ascontiguousarray(arrays[name])
    digest.update(f"{name}|{_spell_dtype(array.dtype)}|{array.shape}|".encode())
    digest.update(array.tobytes())
  size = len(next(iter(arrays.values())))
  return {"size": size, "sha256": digest.hexdigest()}
