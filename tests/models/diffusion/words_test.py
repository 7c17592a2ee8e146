"""The encoder of captions, against its formula."""

import jax
import numpy as np
from absl.testing import absltest
from golden import pipeline_files

from thickets.models.diffusion import words


class WordsTest(absltest.TestCase):
  def test_features_are_those_of_each_word_and_of_its_place(self):
    params = pipeline_files.make_params(words.describe(7, 4, 6))
    tokens = np.array([[1, 5, 2, 0], [1, 2, 5, 0]], np.int32)
    found = jax.jit(words.encode)(params, tokens)
    x = params["token_embedding"][tokens] + params["position_embedding"]
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5)
    expected = x * params["final_layer_norm"] + params["final_layer_norm_bias"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
