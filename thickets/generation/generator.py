"""Generation for many prompts and many members at once.

A call reads the prompts once (*prefill*), then generates in *segments* of some
steps. Between two segments finished rows are dropped and the KV cache grows, so
that neither finished rows nor slots that are not written yet cost time. Where
steps take long, rows are dropped within segments too. Row counts come from a
small fixed set, so compilations stay few; they are counted.

The response of a row depends on its prompt, its key and its member: not on the
other rows, on padding, or on how rows are batched, except where the two best
logits lie closer together than float rounding (about 1e-6 of their size in
float32).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from thickets import placement
from thickets.errors import UserError
from thickets.generation.batching import (
  Batching,
  Detokenize,
  continue_prompts,
)
from thickets.generation.decode_step import DecodeSpec
from thickets.generation.decoding import Decoding, Responses
from thickets.generation.programs import DecodePrograms, Weights
from thickets.generation.sampling import (
  TEMPERATURE_RANGE,
  RowSampling,
  is_temperature,
)
from thickets.generation.texts import PromptImages, make_texts
from thickets.models import transformer
from thickets.models.config import TransformerConfig
from thickets.models.layout import Layout, is_apart, take_layer
from thickets.naming import Params
from thickets.search import meshes
from thickets.search.compiled import Programs


class Generator:
  """Generates with one architecture, and compiles once per shape.

  Args:
    config: the architecture of the models.
    decoding: how tokens are chosen and when a response ends.
    mesh: the devices, as from `meshes.make_mesh`, which makes it by default.
      Members (or, for a single model, prompts) are spread over its axis
      `population`.
    batching: how much is computed at once, unless a call says otherwise; all
      prompts by default. `lanes` is for the evaluator that rebuilds members.
    layout: how layers lie while decoding, `choose_layout` by default.
    detokenize: maps token ids to their text; needed for stop strings. One of
      `tokenizer_files.make_detokenizer` finds special tokens among them.
    compiled: compiles the programs, a `Programs` of its own by default.

  Attributes:
    config: the architecture of the models.
    decoding: how tokens are chosen and when a response ends.
    mesh: the devices, fitted to the architecture by `transformer.fit_mesh`.
    batching: how much is computed at once, unless a call says otherwise.
    layout: how layers lie while decoding.
    programs: what was compiled, with counts and seconds.

  Raises:
    UserError: if the decoding does not fit the architecture, or stop strings
      cannot be found.
  """

  def __init__(
    self,
    config: TransformerConfig,
    decoding: Decoding,
    *,
    mesh: Mesh | None = None,
    batching: Batching | None = None,
    layout: Layout | None = None,
    detokenize: Detokenize | None = None,
    compiled: Programs | None = None,
  ):
    if decoding.stop_strings and detokenize is None:
      raise UserError("stop_strings need a tokenizer, to find them in text.")
    decoding.check_vocabulary(config)
    mesh = meshes.make_mesh() if mesh is None else mesh
    self.mesh = transformer.fit_mesh(config, mesh)
    config = transformer.group_experts(config, self.mesh)
    self.config, self.decoding = config, decoding
    self.batching = Batching() if batching is None else batching
    self.layout = layout or choose_layout(config, self.mesh)
    self._detokenize = detokenize
    self._shardings = transformer.shardings(config, self.mesh)
    spec = DecodeSpec(
      config,
      decoding.sampling,
      tuple(decoding.stop_tokens),
      decoding.num_tokens or config.vocab_size,
      self.layout,
      tuple(decoding.missing_tokens),
    )
    self.programs = DecodePrograms(spec, self.mesh, compiled)

  def place(self, params: Params) -> Params:
    """Divides the weights of one model over the mesh axis `model`."""
    return jax.tree.map(_place_weight, params, self._shardings)

  def arrange(self, params: Params) -> Params:
    """Lays out the weights of one model as `generate` reads them.

    They are divided over the mesh axis `model`. Stacked layers that are to lie
    apart are copied, so that both lie in memory until the caller drops the
    stacked ones.

    Args:
      params: the weights; those that are laid out already are returned as they are.
    """
    if is_apart(params):
      return params
    return self._take_apart(self.place(params))

  def generate(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: jax.Array | None = None,
    *,
    temperatures: Sequence[float] | np.ndarray | None = None,
    batching: Batching | None = None,
    images: PromptImages | None = None,
  ) -> Responses:
    """Continues prompts with one model, spread over the mesh.

    Args:
      params: the weights. Others than those of `arrange` are arranged anew at
        every call, which may copy them.
      prompts: [Q] token ids of each prompt.
      keys: [Q] a random key for each response, unless greedy.
      temperatures: [Q] in place of that of the decoding, above 0; not if greedy.
      batching: how much is computed at once, that of the generator by default.
      images: the images of the prompts; None where they have none.

    Returns:
      [Q, T] what was generated.

    Raises:
      UserError: if there are no prompts, or one is empty or too long.
      ValueError: if the image tokens of a prompt are not those of its images.
    """
    responses = self._continue(
      Weights(params), prompts, keys, temperatures, batching, images
    )
    return jax.tree.map(lambda field: field[0], responses)

  def generate_members(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: jax.Array | None = None,
    *,
    temperatures: Sequence[float] | np.ndarray | None = None,
    batching: Batching | None = None,
    images: PromptImages | None = None,
  ) -> Responses:
    """Continues the same prompts with many members, spread over the mesh.

    Args:
      params: the weights of P members as from `layout.stack_weights`; P is a
        multiple of the mesh axis `population`.
      prompts: [Q] token ids of each prompt.
      keys: [P, Q] a random key for each response, unless greedy.
      temperatures: [Q] in place of that of the decoding, above 0; not if greedy.
      batching: how much is computed at once, that of the generator by default.
      images: the images of the prompts; None where they have none.

    Returns:
      [P, Q, T] what was generated.

    Raises:
      UserError: if there are no prompts, or one is empty or too long, or the
        members cannot be spread evenly.
    """
    num_members = len(params["norm"])
    if num_members % self.programs.num_slots:
      raise UserError(
        "The number of members must be a multiple of the mesh axis population"
        f" ({self.programs.num_slots}), got {num_members}."
      )
    return self._continue(
      Weights(params, num_members),
      prompts,
      keys,
      temperatures,
      batching,
      images,
    )

  def _continue(
    self,
    weights: Weights,
    prompts: Sequence[Sequence[int]],
    keys: jax.Array | None,
    temperatures: Sequence[float] | np.ndarray | None,
    batching: Batching | None,
    images: PromptImages | None,
  ) -> Responses:
    """Checks the arguments, and continues the prompts: [P, Q, T]."""
    prompts = [[int(token) for token in prompt] for prompt in prompts]
    self.decoding.check_prompts(prompts, self.config)
    texts = make_texts(prompts, images)
    shape = (weights.num_members or 1, len(prompts))
    is_single = weights.num_members is None
    keys_shape = shape[1:] if is_single else shape
    sampling = RowSampling(
      self._check_keys(keys, keys_shape).reshape(*shape, 2),
      self._check_temperatures(temperatures, shape),
    )
    if is_single:
      weights = Weights(self.arrange(weights.params))
    if images is not None:
      weights = dataclasses.replace(
        weights, table=images.table, has_own_tables=images.has_own_tables
      )
    return continue_prompts(
      self.programs,
      weights,
      texts,
      sampling,
      self.decoding,
      self.batching if batching is None else batching,
      self._detokenize,
    )

  def _take_apart(self, params: Params) -> Params:
    """Lays out stacked weights once for all programs, layer by layer."""
    if self.layout is Layout.STACKED:
      return params
    layers = self.layout.arrange_shardings(
      self._shardings, self.config.num_layers
    )["layers"]
    everywhere = NamedSharding(self.mesh, PartitionSpec())
    taken = []
    for layer, shardings in enumerate(layers):
      index = self.programs.compiled.put(np.int32(layer), everywhere)
      arguments = (params["layers"], index)
      program = self.programs.compiled.get(
        "layer", take_layer, arguments, out_shardings=shardings
      )
      taken.append(program(*arguments))
    return {**params, "layers": tuple(taken)}

  def _check_keys(
    self, keys: jax.Array | None, shape: tuple[int, ...]
  ) -> np.ndarray:
    """The data [..., 2] of the keys; zeros when greedy."""
    if self.decoding.sampling.is_greedy:
      return np.zeros((*shape, 2), np.uint32)
    if keys is None or keys.shape != shape or not _is_plain_key(keys):
      raise UserError(
        f"Sampling needs an array {shape} of jax.random.key of the default kind"
        f" (threefry2x32), got {keys!r}."
      )
    return np.asarray(jax.random.key_data(keys))

  def _check_temperatures(
    self,
    temperatures: Sequence[float] | np.ndarray | None,
    shape: tuple[int, int],
  ) -> np.ndarray:
    """[P, Q] temperatures, those of the decoding by default."""
    if temperatures is None:
      return np.full(shape, self.decoding.sampling.temperature, np.float32)
    given = np.asarray(temperatures)
    if given.shape != shape[1:] or not all(map(is_temperature, given.tolist())):
      raise UserError(
        f"temperatures must be {shape[1]} numbers {TEMPERATURE_RANGE}, got"
        f" {given!r}."
      )
    if self.decoding.sampling.is_greedy:
      raise UserError(
        "temperatures must not be given to greedy decoding. Make the generator"
        " with Sampling(temperature=1)."
      )
    return np.broadcast_to(given.astype(np.float32), shape)


def choose_layout(
  config: TransformerConfig, mesh: Mesh, num_responses: int | None = None
) -> Layout:
  """How the layers of a model lie on a mesh while it decodes; see `Layout`."""
  return Layout.for_layers(
    config.num_layers,
    transformer.count_layer_params(config),
    mesh.devices.flat[0].platform,
    num_responses,
  )


def _place_weight(weight: Any, sharding: Sharding) -> jax.Array:
  """Puts a weight where it belongs, unless it lies there already."""
  if getattr(weight, "sharding", None) == sharding:
    return weight
  return placement.put(weight, sharding)


def _is_plain_key(keys: jax.Array) -> bool:
  is_key = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
  return is_key and keys.dtype == jax.random.key(0).dtype
