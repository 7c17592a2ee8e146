"""Tests of mixtures of experts: token by token, over members and over devices."""

import dataclasses
import functools
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.members import Member
from thickets.models import checkpoint, families, hub, mixtures, transformer
from thickets.models.config import Mixture
from thickets.perturbation import perturb
from thickets.search import meshes

FIELDS = cases.CASES["qwen3_moe"]
D, F, E, C = 12, 10, 8, 3
_MESH = {"model": 4}


def _draw(seed, *shape):
  rng = np.random.default_rng(seed)
  return rng.normal(size=shape).astype(np.float32)


def _experts(seed=0):
  return {
    "gate_proj": _draw(seed, E, F, D),
    "up_proj": _draw(seed + 1, E, F, D),
    "down_proj": _draw(seed + 2, E, D, F),
  }


def _make_run(mixture):
  def run(x, logits, experts):
    shares, chosen = mixtures.choose_experts(mixture, logits)
    return mixtures.run_experts(mixture, x, shares, chosen, experts, jnp.tanh)

  return run


@functools.cache
def _compiled(mixture):
  return jax.jit(_make_run(mixture), compiler_options=unoptimised.OPTIONS)


def _expect(x, logits, experts, is_normalised):
  """One token and one expert at a time, in float64."""
  mixed = np.zeros(x.shape)
  for token, vector in enumerate(x.astype(np.float64)):
    shares = np.exp(logits[token].astype(np.float64))
    shares /= shares.sum()
    chosen = np.argsort(-shares)[:C]
    total = shares[chosen].sum() if is_normalised else 1
    for expert in chosen:
      gate, up, down = (
        experts[name][expert].astype(np.float64)
        for name in ("gate_proj", "up_proj", "down_proj")
      )
      hidden = np.tanh(gate @ vector) * (up @ vector)
      mixed[token] += shares[expert] / total * (down @ hidden)
  return mixed


class RunExpertsTest(parameterized.TestCase):
  @parameterized.product(groups=(1, 4), num_tokens=(1, 70))
  def test_tokens_are_those_of_their_experts(self, groups, num_tokens):
    mixture = Mixture(E, C, is_normalised=groups == 1, num_groups=groups)
    x, logits = _draw(5, num_tokens, D), _draw(6, num_tokens, E)
    logits[:, 2] += 5  # An expert of all tokens, and one of none.
    logits[:, 3] -= 50
    got = _compiled(mixture)(x, logits, _experts())
    expected = _expect(x, logits, _experts(), mixture.is_normalised)
    np.testing.assert_allclose(got, expected, atol=1e-4)

  def test_members_with_loads_of_their_own(self):
    mixture = Mixture(E, C)
    x, logits = _draw(5, 2, 40, D), _draw(6, 2, 40, E)
    logits[1, :, :C] += 50  # All tokens of one member go to three experts.
    experts = jax.tree.map(lambda *two: np.stack(two), _experts(), _experts(9))
    got = jax.jit(
      jax.vmap(_make_run(mixture)), compiler_options=unoptimised.OPTIONS
    )(x, logits, experts)
    for member in range(2):
      own = jax.tree.map(lambda leaf, m=member: leaf[m], experts)
      expected = _expect(x[member], logits[member], own, False)
      np.testing.assert_allclose(got[member], expected, atol=1e-4)

  @parameterized.parameters(0, 9)
  def test_numbers_of_chosen_experts_are_refused(self, num_chosen):
    with self.assertRaisesRegex(UserError, r"within \[1, 8\].* got"):
      Mixture(8, num_chosen)


class ConfigTest(parameterized.TestCase):
  def _parse(self, **changes):
    fields = FIELDS | changes
    return families.parse_config(
      {name: value for name, value in fields.items() if value is not ...}
    )

  def test_fields(self):
    config = self._parse()
    self.assertEqual(config.mixture, Mixture(8, 3, is_normalised=True))
    self.assertEqual(config.mlp_width, 20)
    # As transformers 5 writes it.
    again = self._parse(num_experts=..., num_local_experts=8)
    self.assertEqual(again, config)
    self.assertFalse(self._parse(norm_topk_prob=...).mixture.is_normalised)
    self.assertEqual(self._parse(head_dim=...).head_dim, 8)

  @parameterized.parameters(
    {"num_experts": 0}, {"mlp_only_layers": [0, 1]}, {"decoder_sparse_step": 3}
  )
  def test_models_without_experts(self, **changes):
    config = self._parse(**changes)
    self.assertIsNone(config.mixture)
    self.assertEqual(config.mlp_width, 48)

  @parameterized.parameters(
    {"mlp_only_layers": [1]}, {"decoder_sparse_step": 2}
  )
  def test_layers_that_differ_are_refused(self, **changes):
    with self.assertRaisesRegex(UserError, "got 1 layers with experts of 2"):
      self._parse(**changes)


class ShardingTest(parameterized.TestCase):
  def _specs(self, **changes):
    config = families.parse_config(FIELDS | changes)
    shardings = transformer.shardings(config, meshes.make_mesh(**_MESH))
    mlp = shardings["layers"]["mlp"]
    experts = {name: tuple(s.spec) for name, s in mlp["experts"].items()}
    return experts, tuple(mlp["gate"].spec)

  def test_experts_are_divided(self):
    experts, router = self._specs()
    whole = (
      None,
      transformer.MODEL_AXES,
      None,
      None,
    )  # All four devices share it.
    self.assertEqual(experts, dict.fromkeys(experts, whole))
    self.assertEqual(router, (None, None, None))

  def test_each_is_divided_where_their_number_is_not(self):
    experts, _ = self._specs(num_experts=6)
    axes = transformer.MODEL_AXES
    self.assertEqual(experts["up_proj"], (None, None, axes, None))
    self.assertEqual(experts["down_proj"], (None, None, None, axes))

  @pytest.mark.slow
  def test_a_divided_member_has_its_bits_and_its_logits(self):
    mesh = meshes.make_mesh(**_MESH)
    model = cases.make_model("qwen3_moe")
    names = transformer.tensor_names(model.params)
    member = Member(3, 0.05)
    rebuild = functools.partial(perturb, names=names)
    alone = jax.jit(rebuild)(model.params, member)
    shardings = transformer.shardings(model.config, mesh)
    divided = jax.jit(rebuild, out_shardings=shardings)(
      jax.device_put(model.params, shardings), member
    )
    jax.tree.map(np.testing.assert_array_equal, divided, alone)
    up = divided["layers"]["mlp"]["experts"]["up_proj"]
    self.assertEqual(up.addressable_shards[0].data.shape, (2, 2, 20, 32))
    # One expert by itself, by its name.
    one = {"layers.1.mlp.experts.5.up_proj": alone_slice(model.params)}
    np.testing.assert_array_equal(
      perturb(one, member)["layers.1.mlp.experts.5.up_proj"],
      alone_slice(alone),
    )
    text = np.arange(40, dtype=np.int32).reshape(2, 20)
    config = transformer.group_experts(model.config, mesh)
    self.assertEqual(config.mixture.num_groups, 4)

    def logits(config, params):
      apply = functools.partial(transformer.apply, config)
      return jax.jit(apply, compiler_options=unoptimised.OPTIONS)(params, text)

    np.testing.assert_allclose(
      logits(config, divided), logits(model.config, alone), atol=1e-4
    )


def alone_slice(params):
  return params["layers"]["mlp"]["experts"]["up_proj"][1, 5]


class FilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / "model"
    self.model = cases.make_model("qwen3_moe")
    hub.save(self.path, self.model)

  def _check(self, mesh=None):
    loaded = hub.load(self.path, mesh=mesh)
    self.assertEqual(loaded.identity, self.model.identity)
    jax.tree.map(
      np.testing.assert_array_equal, loaded.params, self.model.params
    )

  def test_each_expert_is_published_by_itself_and_read_back(self):
    tensors = safetensors.numpy.load_file(self.path / checkpoint.WEIGHTS_FILE)
    np.testing.assert_array_equal(
      tensors["model.layers.1.mlp.experts.5.up_proj.weight"],
      alone_slice(self.model.params),
    )
    self._check(meshes.make_mesh(**_MESH))

  def test_experts_that_are_stacked_in_a_file_are_read(self):
    file = self.path / checkpoint.WEIGHTS_FILE
    tensors = safetensors.numpy.load_file(file)
    for layer in range(2):
      stem = f"model.layers.{layer}.mlp.experts"

      def stack(matrix, stem=stem):
        return np.stack(
          [tensors.pop(f"{stem}.{e}.{matrix}.weight") for e in range(E)]
        )

      both = [stack("gate_proj"), stack("up_proj")]
      tensors[f"{stem}.gate_up_proj"] = np.concatenate(both, axis=1)
      tensors[f"{stem}.down_proj"] = stack("down_proj")
    safetensors.numpy.save_file(tensors, file)
    self._check()

  def test_the_number_of_experts_is_written_for_all_readers(self):
    fields = dict(FIELDS)
    fields["num_local_experts"] = fields.pop("num_experts")
    path = self.path.with_name("again")
    hub.save(path, dataclasses.replace(self.model, fields=fields))
    self.assertEqual(hub.load(path).fields["num_experts"], 8)
