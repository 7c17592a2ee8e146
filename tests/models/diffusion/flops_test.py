"""FLOPs of published models: the numbers were counted by torch's own counter."""

from absl.testing import parameterized
from golden import diffusion_cases as cases

from thickets.models.diffusion import clip_config, flops, unet_config, vae


class FlopsTest(parameterized.TestCase):
  @parameterized.parameters(
    (cases.SDXL, 64, 1.589e12),
    (cases.SDXL, 128, 6.761e12),
    (cases.SD15, 64, 0.803e12),
    (cases.SD21, 64, 0.804e12),
    (cases.SD21, 96, 2.15e12),
  )
  def test_predictions(self, fields, side, expected):
    config = unet_config.parse_config(fields)
    found = flops.unet_flops(config, (side, side), 77)
    self.assertAlmostEqual(found / expected, 1, delta=1e-3)

  def test_odd_sizes_are_rounded_up_where_they_are_halved(self):
    config = unet_config.parse_config(cases.SHAPES)
    whole = flops.unet_flops(config, (6, 8), 8)
    # All have a coarse level of 3 by 4, and differ in the places of the fine one.
    each = [
      (whole - flops.unet_flops(config, (height, width), 8))
      / (6 * 8 - height * width)
      for height, width in ((5, 8), (6, 7), (5, 7))
    ]
    self.assertGreater(each[0], 0)
    self.assertEqual(each, each[:1] * 3)

  @parameterized.parameters((64, 2.51e12), (128, 10.47e12))
  def test_decoding(self, side, expected):
    config = vae.parse_config(cases.VAE)
    found = flops.decoder_flops(config, (side, side))
    self.assertAlmostEqual(found / expected, 1, delta=2e-3)

  @parameterized.parameters(
    (cases.CLIP_L_TEXT, False, 0.0133e12), (cases.BIG_G_TEXT, True, 0.0979e12)
  )
  def test_texts(self, fields, is_projected, expected):
    config = clip_config.parse_text_config(
      fields, "text", is_projected=is_projected
    )
    self.assertAlmostEqual(
      flops.text_flops(config, 77) / expected, 1, delta=1e-3
    )

  def test_pictures(self):
    config = clip_config.parse_scorer_config(cases.CLIP_L)
    self.assertAlmostEqual(
      flops.picture_flops(config) / 0.162e12, 1, delta=1e-3
    )
