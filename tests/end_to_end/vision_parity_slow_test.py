"""Vision-language models, compared with `transformers` in float32."""

import copy
import io
import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from golden import vision_cases as cases
from PIL import Image

from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.texts import PromptImages
from thickets.models import families, hub, transformer
from thickets.models.vision import (
  joined,
  pixel_fields,
  pixels,
  positions,
  tower,
)
from thickets.models.vision.images import FeatureTable, Images
from thickets.search import meshes

pytestmark = pytest.mark.slow
# The slow tier runs where the extra is installed, and must not pass without it.
torch = transformers = None


def setUpModule():
  global torch, transformers
  import torch
  import transformers


# In pixels, of patches of 4: none has a side that is a multiple of a window, but
# for the last.
SIZES = ((45, 70), (100, 33), (9, 61), (64, 64))
NUM_NEW = 32
IMAGE = cases.IDS["image_token_id"]
# Enough weight on every branch that an error in it shows; std 0.02 hides most.
STD = 0.15


def _make_pictures():
  pictures = []
  for seed, (width, height) in enumerate(SIZES):
    shape = (height, width, 3)
    values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    pictures.append(Image.fromarray(values))
  return pictures


def _encode(picture):
  file = io.BytesIO()
  picture.save(file, "PNG")
  return file.getvalue()


def _make_theirs(name, seed):
  """A random model of theirs, in evaluation mode."""
  # A copy, since the class writes into what it is given.
  config = transformers.AutoConfig.for_model(
    **copy.deepcopy(cases.FIELDS[name])
  )
  with torch.random.fork_rng():
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_config(
      config, dtype=torch.float32, attn_implementation="eager"
    )
    for key, weight in model.named_parameters():
      noise = torch.randn_like(weight) * STD
      is_norm = weight.ndim == 1 and key.endswith("weight")
      weight.data = noise + 1 if is_norm else noise
  return model.eval()


def _write_tokens(prepared):
  """A prompt of text and of all images, and which tokens are images'."""
  tokens = [5, 6, 7]
  for i, image in enumerate(prepared):
    tokens += [292, *[IMAGE] * image.num_tokens, 293, 20 + i, 40 + i]
  return np.array([*tokens, 11, 12], np.int32)


def _place_images(tokens, features, prepared):
  """What our model reads beside the tokens, up to any number of new ones."""
  grids = [image.token_grid for image in prepared]
  is_image = tokens == IMAGE
  found, delta = positions.find_positions(tokens, grids, image_token=IMAGE)
  later = np.arange(len(tokens), len(tokens) + NUM_NEW) + delta
  places = np.where(is_image, np.cumsum(is_image) - 1, -1)
  deepstack = np.concatenate([f.deepstack for f in features], 1)
  return Images(
    places=jnp.asarray(np.pad(places, (0, NUM_NEW), constant_values=-1))[None],
    positions=jnp.asarray(
      np.concatenate([found, np.broadcast_to(later, (3, NUM_NEW))], 1)
    )[:, None].astype(jnp.int32),
    features=jnp.concatenate([f.tokens for f in features]),
    deepstack=jnp.asarray(deepstack) if len(deepstack) else None,
  )


class ParityTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.directory = pathlib.Path(folder) / "model"
    self.prepared = [
      pixels.prepare(_encode(picture), self._spec(), owner=f"picture {i}")
      for i, picture in enumerate(_make_pictures())
    ]

  def _spec(self):
    vision = families.parse_vision(cases.QWEN2_5_VL)
    return pixel_fields.read_pixels(cases.PREPROCESSOR, vision)

  def _load(self, theirs):
    """Our model of the same weights, by way of their files."""
    theirs.save_pretrained(self.directory)
    path = self.directory / "preprocessor_config.json"
    path.write_text(json.dumps(cases.PREPROCESSOR))
    return hub.load(self.directory)

  def _ask(self, theirs, tokens):
    """What their model is called with."""
    ids = torch.tensor(tokens[None].astype(np.int64))
    return {
      "input_ids": ids,
      "attention_mask": torch.ones_like(ids),
      "mm_token_type_ids": (ids == IMAGE).int(),
      "pixel_values": torch.tensor(
        np.concatenate([image.patches for image in self.prepared])
      ),
      "image_grid_thw": torch.tensor(
        [[1, *image.grid] for image in self.prepared]
      ),
    }

  @parameterized.product(name=("qwen2_5_vl", "qwen3_vl"), seed=(0, 1))
  def test_tower_positions_logits_and_greedy_tokens(self, name, seed):
    theirs = _make_theirs(name, seed)
    ours = self._load(theirs)
    tokens = _write_tokens(self.prepared)
    asked = self._ask(theirs, tokens)
    with torch.no_grad():
      encoded = theirs.model.visual(
        asked["pixel_values"], grid_thw=asked["image_grid_thw"]
      )
      logits = theirs(**asked).logits[0].numpy()
      expected_ids, expected_delta = theirs.model.get_rope_index(
        asked["input_ids"],
        mm_token_type_ids=asked["mm_token_type_ids"],
        image_grid_thw=asked["image_grid_thw"],
        attention_mask=asked["attention_mask"],
      )
      answer = theirs.generate(
        **asked,
        max_new_tokens=NUM_NEW,
        min_new_tokens=NUM_NEW,
        do_sample=False,
        pad_token_id=0,
      )[0, len(tokens) :]
    features = tower.encode(
      ours.vision.config, ours.params["visual"], self.prepared
    )
    self._check_features(features, encoded)
    images = _place_images(tokens, features, self.prepared)
    delta = int(images.positions[0, 0, -1]) - (len(tokens) + NUM_NEW - 1)
    np.testing.assert_array_equal(
      images.positions[:, 0, : len(tokens)], expected_ids[:, 0].numpy()
    )
    self.assertEqual(delta, int(expected_delta.reshape(())))
    self._check_text(ours, tokens, images, logits, answer.numpy())
    self._check_generator(ours, tokens, images, answer.numpy())
    self.assertEqual("qwen3" in name, bool(features[0].deepstack.size))

  def _check_features(self, features, encoded):
    levels = getattr(encoded, "deepstack_features", None) or []
    self.assertLen(features[0].deepstack, len(levels))
    parts = [([f.tokens for f in features], encoded.pooler_output)]
    for level, expected in enumerate(levels):
      parts.append(([f.deepstack[level] for f in features], expected))
    for found, expected in parts:
      np.testing.assert_allclose(
        np.concatenate(found), expected.numpy(), rtol=1e-5, atol=1e-5
      )

  def _check_text(self, ours, tokens, images, logits, answer):
    run = jax.jit(transformer.apply, static_argnums=0)
    text = joined.take_text(ours.params)
    whole = np.pad(tokens, (0, NUM_NEW))
    found = np.asarray(run(ours.config, text, whole[None], images)[0])
    np.testing.assert_allclose(found[: len(tokens)], logits, atol=1e-4)
    for step in range(NUM_NEW):
      whole[len(tokens) + step] = found[len(tokens) + step - 1].argmax()
      found = np.asarray(run(ours.config, text, whole[None], images)[0])
    np.testing.assert_array_equal(whole[len(tokens) :], answer)

  def _check_generator(self, ours, tokens, images, answer):
    """With a KV cache, beside a prompt without images."""
    grids = [image.token_grid for image in self.prepared]
    shown = PromptImages(
      [[*range(len(grids))], []],
      grids,
      FeatureTable(images.features, images.deepstack),
      IMAGE,
    )
    generator = Generator(
      ours.config,
      Decoding(NUM_NEW),
      mesh=meshes.make_mesh(jax.devices()[:1]),
    )
    responses = generator.generate(
      joined.take_text(ours.params), [tokens.tolist(), [5, 6]], images=shown
    )
    np.testing.assert_array_equal(responses.tokens[0], answer)

  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_an_expert_opens_in_transformers(self, name):
    theirs = _make_theirs(name, 2)
    ours = self._load(theirs)
    text = joined.take_text(ours.params)
    moved = jax.tree.map(lambda leaf: leaf * np.float32(1.01), text)
    expert = self.directory.with_name("expert")
    hub.save(expert, ours, params=moved)
    opened, report = transformers.AutoModelForImageTextToText.from_pretrained(
      expert, dtype=torch.float32, output_loading_info=True
    )
    self.assertFalse(report["missing_keys"])
    self.assertFalse(report["unexpected_keys"])
    self.assertFalse(report["mismatched_keys"])
    before, after = theirs.state_dict(), opened.state_dict()
    self.assertEqual(before.keys(), after.keys())
    for key, weight in before.items():
      factor = 1 if ".visual." in key else np.float32(1.01)
      np.testing.assert_array_equal(after[key].numpy(), weight.numpy() * factor)
    self.assertEqual(
      opened.config.get_text_config().rope_parameters,
      theirs.config.get_text_config().rope_parameters,
    )
    processor = transformers.AutoImageProcessor.from_pretrained(expert)
    for picture, image in zip(_make_pictures(), self.prepared, strict=True):
      read = processor(picture, return_tensors="np")
      self.assertEqual(tuple(read["image_grid_thw"][0]), (1, *image.grid))
      np.testing.assert_allclose(
        image.patches, np.asarray(read["pixel_values"]), atol=1e-6
      )


class ProcessorTest(parameterized.TestCase):
  """The library's processor on Pillow, on published settings."""

  @parameterized.product(
    family=("qwen2_5_vl", "qwen3_vl"),
    mode=("RGB", "L", "P", "CMYK", "1"),
    size=((98, 70), (333, 500), (200, 1)),
  )
  def test_patches_are_theirs(self, family, mode, size):
    from transformers import image_utils
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl

    clip = (image_utils.OPENAI_CLIP_MEAN, image_utils.OPENAI_CLIP_STD)
    side, low, high, (mean, std) = {
      "qwen2_5_vl": (14, 3136, 12_845_056, clip),
      "qwen3_vl": (16, 65_536, 16_777_216, ([0.5] * 3, [0.5] * 3)),
    }[family]
    theirs = image_processing_pil_qwen2_vl.Qwen2VLImageProcessorPil(
      patch_size=side,
      size={"shortest_edge": low, "longest_edge": high},
      image_mean=mean,
      image_std=std,
    )
    shape = (size[1], size[0], 3)
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, "TIFF")
    spec = pixels.PixelSpec(side, 2, 2, low, high, tuple(mean), tuple(std))
    ours = pixels.prepare(file.getvalue(), spec, owner="x")
    read = theirs(Image.open(file), return_tensors="np")
    self.assertEqual(tuple(read["image_grid_thw"][0]), (1, *ours.grid))
    np.testing.assert_allclose(ours.patches, read["pixel_values"], atol=1e-6)


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters("qwen2_5_vl", "qwen3_vl")
  def test_what_transformers_reads_in_a_config_is_what_we_read(self, name):
    config = transformers.AutoConfig.for_model(
      **copy.deepcopy(cases.FIELDS[name])
    )
    with tempfile.TemporaryDirectory() as folder:
      config.save_pretrained(folder)
      path = pathlib.Path(folder) / "config.json"
      saved = json.loads(path.read_text())
    for parse in (families.parse_config, families.parse_vision):
      self.assertEqual(parse(saved), parse(cases.FIELDS[name]))
    self.assertIn("text_config", saved)
