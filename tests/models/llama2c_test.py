"""Tests of llama2.c's format: the public model's text, and a tiny file's logits."""

import functools
import pathlib
import struct
import tempfile
import unittest

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import llama2c, transformer

STORIES = pathlib.Path(__file__).parents[3] / "shared/weights/stories260K"

# The first 200 greedy tokens after BOS, computed in float64 by others.
_GREEDY = """
  403 407 261 378 432 383 286 261 376 298 315 421 395 317 426 338 401 396 267
  337 410 408 419 292 411 322 265 282 295 433 426 385 328 432 358 394 261 370
  432 352 266 268 388 426 338 391 266 267 337 335 312 432 398 312 286 267 414
  270 333 415 426 13 438 310 439 419 357 336 432 313 438 310 432 278 316 439
  419 298 414 267 265 282 295 433 426 436 317 286 296 418 269 279 292 416 439
  413 409 416 327 263 415 294 267 400 426 338 336 432 313 442 391 267 337 335
  364 420 268 388 432 398 359 280 303 439 413 272 417 264 312 426 436 13 438
  310 286 296 418 269 279 292 416 439 413 409 416 327 263 415 294 267 400 426
  338 336 432 313 442 439 423 262 304 420 422 432 317 426 359 279 292 416 439
  413 409 416 327 263 415 294 267 400 426 436 13 438 310 279 292 416 439 413
  391 267 281 421 427 311 357 432 384 358
"""
GREEDY = tuple(int(word) for word in _GREEDY.split())

# width, mlp width, layers, heads, kv heads, vocabulary, context
SIZES = (16, 12, 2, 4, 2, 23, 8)


def _parts(sizes):
  """Random weights in the order of the file."""
  width, mlp_width, depth, heads, kv_heads, vocab, context = sizes
  kv_width, half = width // heads * kv_heads, width // heads // 2
  shapes = {
    "embedding": (abs(vocab), width),
    "attention_norm": (depth, width),
    "wq": (depth, width, width),
    "wk": (depth, kv_width, width),
    "wv": (depth, kv_width, width),
    "wo": (depth, width, width),
    "mlp_norm": (depth, width),
    "w1": (depth, mlp_width, width),
    "w2": (depth, width, mlp_width),
    "w3": (depth, mlp_width, width),
    "norm": (width,),
    "cosines": (context, half),
    "sines": (context, half),
  }
  if vocab < 0:
    shapes["head"] = (-vocab, width)
  rng = np.random.default_rng(0)
  return {
    name: rng.normal(size=shape).astype("<f4") * np.float32(0.5)
    for name, shape in shapes.items()
  }


def _forward(parts, sizes, tokens):
  """llama2.c's forward pass, token by token, in float64."""
  width, _, depth, heads, kv_heads, vocab, _ = sizes
  head_dim = width // heads

  def norm(x, weight):
    return x / np.sqrt(np.mean(x * x) + 1e-5) * weight

  def turn(vector, position):
    turned = vector.copy()
    for i in range(0, len(vector), 2):
      angle = position / 10_000 ** ((i % head_dim) / head_dim)
      c, s = np.cos(angle), np.sin(angle)
      a, b = vector[i], vector[i + 1]
      turned[i], turned[i + 1] = a * c - b * s, a * s + b * c
    return turned

  keys, values = ([[] for _ in range(depth)] for _ in range(2))
  head = parts["embedding"] if vocab > 0 else parts["head"]
  logits = []
  for position, token in enumerate(tokens):
    x = parts["embedding"][token].astype(np.float64)
    for i in range(depth):
      y = norm(x, parts["attention_norm"][i])
      query = turn(parts["wq"][i] @ y, position).reshape(heads, head_dim)
      keys[i].append(turn(parts["wk"][i] @ y, position))
      values[i].append(parts["wv"][i] @ y)
      mixed = []
      for h in range(heads):
        at = h // (heads // kv_heads) * head_dim
        scores = np.stack(keys[i])[:, at : at + head_dim] @ query[h]
        shares = np.exp((scores - scores.max()) / np.sqrt(head_dim))
        shares /= shares.sum()
        mixed.append(shares @ np.stack(values[i])[:, at : at + head_dim])
      x = x + parts["wo"][i] @ np.concatenate(mixed)
      y = norm(x, parts["mlp_norm"][i])
      gate, up = parts["w1"][i] @ y, parts["w3"][i] @ y
      x = x + parts["w2"][i] @ (gate / (1 + np.exp(-gate)) * up)
    logits.append(head @ norm(x, parts["norm"]))
  return np.stack(logits)


class FormatTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / "model.bin"

  def _write(self, sizes, parts):
    weights = b"".join(part.tobytes() for part in parts.values())
    self.path.write_bytes(struct.pack("<7i", *sizes) + weights)

  @parameterized.parameters(23, -23)
  def test_logits_are_those_of_its_own_forward_pass(self, vocab):
    sizes = (*SIZES[:5], vocab, SIZES[6])
    parts = _parts(sizes)
    self._write(sizes, parts)
    model = llama2c.load_llama2c(self.path)
    self.assertEqual(model.config.is_tied, vocab > 0)
    tokens = np.array([1, 7, 22, 3, 7, 0, 11, 5])
    logits = transformer.apply(
      model.config, model.params, jnp.asarray(tokens[None], jnp.int32)
    )
    np.testing.assert_allclose(
      logits[0], _forward(parts, sizes, tokens), atol=1e-4
    )

  @parameterized.parameters(
    (lambda data: data[:-4], "must have .* bytes by its header"),
    (lambda data: data + b"\0", "must have .* bytes by its header"),
    (lambda data: data[:20], "must begin with 28 bytes of sizes, got 20"),
    (lambda data: b"GGUF" + b"\0" * 200, "sizes of a llama2.c model"),
  )
  def test_other_files_are_refused(self, change, message):
    self._write(SIZES, _parts(SIZES))
    self.path.write_bytes(change(self.path.read_bytes()))
    with self.assertRaisesRegex(UserError, message):
      llama2c.load_llama2c(self.path)

  def test_a_torn_tokenizer_is_refused(self):
    self.path.write_bytes(struct.pack("<ifi", 5, 0.0, 100) + b"abc")
    with self.assertRaisesRegex(UserError, "must hold tokens of llama2.c"):
      llama2c.llama2c_tokenizer(self.path)


def _encode(path, text):
  """llama2.c's own greedy merging, by its description."""
  data, at, pieces = path.read_bytes(), 4, []
  while at < len(data):
    score, length = struct.unpack_from("<fi", data, at)
    pieces.append((data[at + 8 : at + 8 + length], score))
    at += 8 + length
  ids = {piece: i for i, (piece, _) in enumerate(pieces) if i >= 259}
  tokens = []
  for char in " " + text:
    raw = char.encode()
    tokens += [ids[raw]] if raw in ids else [byte + 3 for byte in raw]
  while True:
    best = None
    for i in range(len(tokens) - 1):
      pair = pieces[tokens[i]][0] + pieces[tokens[i + 1]][0]
      if pair in ids and (best is None or pieces[ids[pair]][1] > best[0]):
        best = (pieces[ids[pair]][1], i, ids[pair])
    if best is None:
      return [1, *tokens]
    tokens[best[1] : best[1] + 2] = [best[2]]


@unittest.skipUnless(STORIES.is_dir(), "the public model is not here")
class StoriesTest(parameterized.TestCase):
  def test_two_hundred_greedy_tokens(self):
    model = llama2c.load_llama2c(STORIES / "stories260K.bin")
    self.assertEqual(transformer.count_params(model.config), 260_032)
    apply = jax.jit(
      functools.partial(transformer.apply, model.config),
      compiler_options=unoptimised.OPTIONS,
    )
    text = np.zeros((1, 201), np.int32)
    text[0, 0] = 1
    for step in range(200):  # What follows the text changes nothing.
      logits = apply(model.params, jnp.asarray(text))
      text[0, step + 1] = np.argmax(logits[0, step])
    self.assertEqual(tuple(text[0, 1:].tolist()), GREEDY)

  def test_the_tokenizer_reads_and_writes(self):
    tokenizer = llama2c.llama2c_tokenizer(STORIES / "tok512.bin")
    self.assertLen(tokenizer, 512)
    self.assertStartsWith(
      tokenizer.decode(GREEDY),
      "Once upon a time, there was a little girl named Lily. She loved to play"
      " outside in the park.",
    )
    self.assertEqual(tokenizer.bos_token_id, 1)
    self.assertEqual(tokenizer.eos_token_id, 2)

  @parameterized.parameters(
    "Once upon a time, there was a little girl named Lily.",
    "  two  spaces\nand lines\n",
    "bytes: é, 漢, 😀",
    "aaaaaaaaa mississippi thethethe",
    "",
  )
  def test_the_tokenizer_merges_as_described(self, text):
    path = STORIES / "tok512.bin"
    tokenizer = llama2c.llama2c_tokenizer(path)
    ids = tokenizer.encode(text)
    if text:
      self.assertEqual(ids, _encode(path, text))
    self.assertEqual(tokenizer.decode(ids, skip_special_tokens=True), text)
