"""Tests of pictures that become patches, and of pictures that cannot."""

import io
import struct
import zlib

import numpy as np
from absl.testing import parameterized
from PIL import Image

from thickets.errors import UserError
from thickets.models.vision import pixels
from thickets.models.vision.config import PixelSpec

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
QWEN2_5_VL = PixelSpec(14, 2, 2, 3136, 12_845_056, CLIP_MEAN, CLIP_STD)
QWEN3_VL = PixelSpec(16, 2, 2, 65_536, 16_777_216, HALF, HALF)
# Pictures as they are, if their sides are multiples of 4 pixels.
PLAIN = PixelSpec(2, 2, 2, 1, 10**6, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def _save(image, file_format="PNG", **options):
  file = io.BytesIO()
  image.save(file, file_format, **options)
  return file.getvalue()


def _noise(width, height, seed=0):
  shape = (height, width, 3)
  values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
  return Image.fromarray(values)


def _read(prepared):
  """[height, width, 3] values from 0 to 255 of a picture that was cut."""
  rows, columns = prepared.grid
  blocks = prepared.patches.reshape(rows // 2, columns // 2, 2, 2, 3, 2, 2, 2)
  whole = blocks[:, :, :, :, :, 0].transpose(0, 2, 5, 1, 3, 6, 4)
  return np.rint(whole.reshape(2 * rows, 2 * columns, 3) * 255).astype(int)


class SizeTest(parameterized.TestCase):
  @parameterized.parameters(
    # Width and height; the new height and width of both families; tokens.
    (500, 375, (364, 504), 234, (384, 512), 192),
    (333, 500, (504, 336), 216, (512, 320), 160),
    (640, 480, (476, 644), 391, (480, 640), 300),
    (800, 600, (588, 812), 609, (608, 800), 475),
    (1024, 768, (756, 1036), 999, (768, 1024), 768),
    (98, 70, (56, 112), 8, (224, 320), 70),  # Halves go to even.
    (10, 10, (56, 56), 4, (256, 256), 64),
    (42, 42, (56, 56), 4, (256, 256), 64),
    (200, 1, (28, 812), 29, (32, 3648), 114),
    (6000, 4000, (2912, 4368), 16_224, (3328, 4992), 16_224),
  )
  def test_published_sizes(self, width, height, qwen2_5, num, qwen3, num3):
    for spec, size, tokens in (
      (QWEN2_5_VL, qwen2_5, num),
      (QWEN3_VL, qwen3, num3),
    ):
      found = pixels.fit_size(height, width, spec, owner="x")
      self.assertEqual(found, size)
      self.assertEqual(size[0] * size[1] // spec.factor**2, tokens)

  def test_fewer_pixels_make_fewer_tokens(self):
    spec = PixelSpec(14, 2, 2, 3136, 256 * 784, CLIP_MEAN, CLIP_STD)
    data = _save(_noise(800, 600))
    self.assertEqual(pixels.find_grid(data, QWEN2_5_VL, owner="x"), (42, 58))
    self.assertEqual(pixels.find_grid(data, spec, owner="x"), (26, 36))
    prepared = pixels.prepare(data, spec, owner="x")
    self.assertEqual(prepared.grid, (26, 36))
    self.assertEqual(prepared.num_tokens, 234)
    self.assertEqual(prepared.token_grid, (13, 18))
    self.assertEqual(prepared.patches.shape, (936, 1176))

  @parameterized.parameters((201, 1), (1, 201), (4001, 20))
  def test_a_ribbon_is_refused(self, width, height):
    with self.assertRaisesRegex(
      UserError, "row 3: the longer side .* 200 times"
    ):
      pixels.fit_size(height, width, QWEN2_5_VL, owner="row 3")

  def test_a_single_pixel_is_refused(self):
    with self.assertRaisesRegex(UserError, "row 3: .* two pixels, got 1 × 1"):
      pixels.prepare(_save(_noise(1, 1)), QWEN2_5_VL, owner="row 3")


class PatchesTest(parameterized.TestCase):
  @parameterized.parameters((98, 70), (64, 64), (150, 40))
  def test_pixels_are_resized_by_bicubic_splines_and_normalised(
    self, width, height
  ):
    image = _noise(width, height)
    for spec in (QWEN2_5_VL, QWEN3_VL):
      prepared = pixels.prepare(_save(image), spec, owner="x")
      high, wide = pixels.fit_size(height, width, spec, owner="x")
      resized = np.asarray(image.resize((wide, high), Image.Resampling.BICUBIC))
      expected = (resized / 255 - spec.mean) / spec.std
      # Pixel by pixel, in the order of tokens, of patches in them, of channels.
      side, at = spec.patch, 0
      for top in range(0, high, 2 * side):
        for left in range(0, wide, 2 * side):
          for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y, x = top + row * side, left + column * side
            patch = expected[y : y + side, x : x + side].transpose(2, 0, 1)
            twice = np.stack([patch, patch], 1).reshape(-1)
            np.testing.assert_allclose(prepared.patches[at], twice, atol=1e-6)
            at += 1
      self.assertEqual(at, len(prepared.patches))
      self.assertEqual(prepared.patches.dtype, np.float32)

  def test_large_pictures_are_shrunk_without_aliases(self):
    # Stripes of one pixel become grey, which neighbours alone would not give.
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    spec = PixelSpec(2, 2, 2, 1, 1600, HALF, HALF)
    prepared = pixels.prepare(_save(Image.fromarray(stripes)), spec, owner="x")
    self.assertLess(np.abs(prepared.patches).max(), 0.2)


class OpeningTest(parameterized.TestCase):
  @parameterized.parameters("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
  def test_formats(self, file_format):
    flat = Image.new("RGB", (8, 12), (200, 100, 50))
    data = _save(flat, file_format)
    found = _read(pixels.prepare(data, PLAIN, owner="x"))
    np.testing.assert_allclose(
      found, np.broadcast_to([200, 100, 50], found.shape), atol=3
    )

  @parameterized.parameters("1", "L", "P", "CMYK", "YCbCr")
  def test_modes_are_read_as_colours(self, mode):
    image = _noise(8, 12).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    data = _save(image, "JPEG" if mode == "YCbCr" else "TIFF")
    found = np.asarray(pixels.open_picture(data, owner="x"))
    if mode == "YCbCr":
      expected = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(found, expected)

  def test_what_is_transparent_lies_on_white(self):
    values = np.zeros((4, 8, 4), np.uint8)
    values[:, :4] = (255, 0, 0, 255)
    values[:, 4:, 3] = [0, 0, 51, 255]
    data = _save(Image.fromarray(values))
    found = np.asarray(pixels.open_picture(data, owner="x"))
    np.testing.assert_array_equal(found[0, :4], [[255, 0, 0]] * 4)
    np.testing.assert_array_equal(found[0, 4:, 0], [255, 255, 204, 0])

  def test_a_colour_that_is_transparent(self):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 255, 0, 255, 0])
    image.paste(0, (0, 0, 4, 8))
    data = _save(image, transparency=0)
    found = np.asarray(pixels.open_picture(data, owner="x"))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(found[0, 7], [0, 255, 0])

  def test_16_bits_are_scaled_to_8(self):
    values = np.array([[0, 257, 128 * 257, 65535]] * 4, np.uint16)
    for file_format in ("PNG", "TIFF"):
      data = _save(Image.fromarray(values), file_format)
      found = np.asarray(pixels.open_picture(data, owner="x"))
      np.testing.assert_array_equal(found[0, :, 0], [0, 1, 128, 255])
      self.assertEqual(found.shape, (4, 4, 3))

  def test_a_photo_is_turned_as_its_camera_was(self):
    image = Image.new("RGB", (16, 8), "red")
    image.paste("blue", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned a quarter clockwise.
    data = _save(image, "PNG", exif=exif)
    found = np.asarray(pixels.open_picture(data, owner="x"))
    self.assertEqual(found.shape, (16, 8, 3))
    np.testing.assert_array_equal(found[0, 0], [0, 0, 255])
    np.testing.assert_array_equal(found[-1, 0], [255, 0, 0])
    self.assertEqual(pixels.find_grid(data, PLAIN, owner="x"), (8, 4))

  def test_the_first_of_a_cameras_versions_is_read(self):
    images = [_noise(32, 32), _noise(32, 32, seed=1)]
    data = _save(images[0], "MPO", save_all=True, append_images=images[1:])
    self.assertEqual(Image.open(io.BytesIO(data)).n_frames, 2)
    found = np.asarray(pixels.open_picture(data, owner="x"))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(found, expected)

  @parameterized.parameters("GIF", "WEBP", "TIFF", "PNG")
  def test_what_moves_or_has_pages_is_refused(self, file_format):
    frames = [_noise(8, 8, seed) for seed in range(3)]
    data = _save(
      frames[0], file_format, save_all=True, append_images=frames[1:]
    )
    with self.assertRaisesRegex(UserError, "row 3: .* single one, got .* of 3"):
      pixels.open_picture(data, owner="row 3")


class RefusedTest(parameterized.TestCase):
  @parameterized.parameters("JPEG", "PNG", "GIF", "WEBP", "BMP")
  def test_a_torn_file(self, file_format):
    data = _save(_noise(64, 64), file_format)
    for part in (0.9, 0.5, 0.1):
      with self.assertRaisesRegex(UserError, "^f.png: a picture must be"):
        pixels.prepare(data[: int(len(data) * part)], PLAIN, owner="f.png")

  @parameterized.parameters(
    b"<html>not found</html>", b"%PDF-1.4", b"version https://git-lfs", b"%!PS"
  )
  def test_no_picture(self, data):
    with self.assertRaisesRegex(UserError, "f.png: .* one of BMP, GIF, JPEG"):
      pixels.open_picture(data, owner="f.png")

  def test_no_bytes(self):
    with self.assertRaisesRegex(UserError, "f.png: .* must have bytes"):
      pixels.open_picture(b"", owner="f.png")

  @parameterized.parameters(10_000, 60_000)
  def test_too_many_pixels_by_the_header_alone(self, side):
    # The size that a PNG states is believed before anything is decoded.
    data = bytearray(_save(_noise(8, 8)))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with self.assertRaisesRegex(
      UserError, "f.png: .* at most 89,478,485 pixels"
    ):
      pixels.open_picture(bytes(data), owner="f.png")

  def test_floats(self):
    data = _save(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    with self.assertRaisesRegex(UserError, "f.tif: .* integer values"):
      pixels.open_picture(data, owner="f.tif")

  @parameterized.parameters(
    ({"min_pixels": 0}, "min_pixels must be from 1"),
    ({"min_pixels": 200, "max_pixels": 100}, "min_pixels must be from 1"),
    ({"max_pixels": 15}, "room for one token of 4 × 4 pixels"),
    ({"std": (1.0, 0.0, 1.0)}, "image_std must be positive"),
  )
  def test_specs(self, changes, message):
    fields = {
      "patch": 2,
      "merge": 2,
      "temporal": 2,
      "min_pixels": 4,
      "max_pixels": 100,
      "mean": HALF,
      "std": HALF,
    }
    with self.assertRaisesRegex(UserError, message):
      PixelSpec(**(fields | changes))

  def test_a_spec_says_all_that_decides(self):
    described = QWEN3_VL.describe()
    for name in ("patch", "min_pixels", "max_pixels", "mean", "rule", "pillow"):
      self.assertIn(name, described)
