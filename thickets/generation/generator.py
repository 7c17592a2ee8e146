"""Generation for many prompts and many members at once.

A call reads the prompts once (*prefill*), then generates in *segments* of some
steps. Between two segments finished rows are dropped and the memory grows, so
that neither finished rows nor slots that are not written yet cost time. Row
counts come from a small fixed set, so compilations stay few; they are counted.

What a row says depends on its prompt, its key and its member: not on the other
rows, on padding, or on how rows are batched, except where the two best logits
lie closer together than float rounding (about 1e-6 of their size in float32).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from thickets.errors import UserError
from thickets.generation.batching import DecodeLoop
from thickets.generation.programs import DecodePrograms
from thickets.generation.sampling import GREEDY, Sampling
from thickets.models import layout, transformer
from thickets.models.config import TransformerConfig
from thickets.naming import Params
from thickets.search import meshes

# Up to so many layers are compiled one by one while decoding: each reads its
# weights and memory in place, where a scan copies them out of their stacks.
_MAX_UNROLLED = 8
_MIN_PREFIX = 16  # Tokens; a shorter one is not worth a program of its own.


@dataclasses.dataclass(frozen=True)
class Decoding:
  """Everything that a response depends on, besides model, prompt and key.

  Attributes:
    max_new_tokens: where a response that did not stop is cut off.
    sampling: how tokens are chosen.
    stop_tokens: ids that end a response, and belong to it.
    stop_strings: texts that end a response with the token that completes them.
    num_tokens: tokens that the tokenizer knows; rows of the embedding beyond
      are never chosen. None for all.

  Raises:
    UserError: if a value is out of range.
  """

  max_new_tokens: int
  sampling: Sampling = GREEDY
  stop_tokens: tuple[int, ...] = ()
  stop_strings: tuple[str, ...] = ()
  num_tokens: int | None = None

  def __post_init__(self):
    if self.max_new_tokens < 1:
      raise UserError(
        f"max_new_tokens must be at least 1, got {self.max_new_tokens}."
      )
    for name in ("stop_tokens", "stop_strings"):
      if isinstance(getattr(self, name), str | int):
        raise UserError(
          f"{name} must be a sequence, got {getattr(self, name)!r}. Write"
          f" {name}=({getattr(self, name)!r},)."
        )
    if self.num_tokens is not None and self.num_tokens < 1:
      raise UserError(
        f"num_tokens must be at least 1, or None for all, got"
        f" {self.num_tokens}."
      )
    if not all(self.stop_strings):
      raise UserError(
        f"stop_strings must not be empty texts, got {self.stop_strings!r}."
      )

  def describe(self) -> dict[str, Any]:
    """As JSON values, for the header of a run."""
    return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Responses:
  """What was generated; the axes begin with [P] where members were many.

  Attributes:
    tokens: [Q, T] ids, `NO_TOKEN` behind the end; a stop token is included.
    lengths: [Q] number of tokens.
    log_probs: [Q, T] of the tokens under the model at temperature 1; 0 behind
      the end.
    stopped: [Q] whether the row ended by itself, instead of running out.
  """

  tokens: Int[np.ndarray, "*P Q T"]
  lengths: Int[np.ndarray, "*P Q"]
  log_probs: Float[np.ndarray, "*P Q T"]
  stopped: Bool[np.ndarray, "*P Q"]


class Generator:
  """Generates with one architecture, and compiles once per shape.

  Args:
    config: of the model.
    decoding: what is generated.
    mesh: as from `meshes.make_mesh`. Members (or, for a single model,
      prompts) are spread over its `population` axis.
    rows: prompts that one group of devices continues at a time, unless a call
      says otherwise; all by default.
    segment: steps between two droppings of finished rows; by default a quarter
      of the tokens so far, at least 32.
    is_stacked: whether layers are scanned, so that compilation takes the same
      time for any depth; by default where there are more than 8.
    detokenize: maps ids to text; needed for stop strings.

  Attributes:
    is_stacked: whether layers are scanned.
    programs: what was compiled, with counts and seconds.
  """

  def __init__(
    self,
    config: TransformerConfig,
    decoding: Decoding,
    *,
    mesh: Mesh | None = None,
    rows: int | None = None,
    segment: int | None = None,
    is_stacked: bool | None = None,
    detokenize: Callable[[Sequence[int]], str] | None = None,
  ):
    if decoding.stop_strings and detokenize is None:
      raise UserError("stop_strings need a tokenizer, to find them in text.")
    check_counts(rows=rows, segment=segment)
    for name, ids in {
      "num_tokens": [decoding.num_tokens or 1],
      "stop_tokens": [token + 1 for token in decoding.stop_tokens],
    }.items():
      if ids and not 1 <= min(ids) <= max(ids) <= config.vocab_size:
        raise UserError(
          f"{name} must be within the model's vocabulary of"
          f" {config.vocab_size}, got {getattr(decoding, name)}. Is this the"
          " model's own tokenizer?"
        )
    self._config, self._decoding = config, decoding
    self._rows, self._segment = rows, segment
    self._detokenize = detokenize
    mesh = meshes.make_mesh() if mesh is None else mesh
    self._shardings = transformer.shardings(config, mesh)
    self.is_stacked = (
      config.num_layers > _MAX_UNROLLED if is_stacked is None else is_stacked
    )
    self.programs = DecodePrograms(
      config,
      decoding.sampling,
      mesh,
      stop_tokens=decoding.stop_tokens,
      num_tokens=decoding.num_tokens,
      is_stacked=self.is_stacked,
    )

  def generate(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: Any = None,
    *,
    temperatures: Any = None,
    rows: int | None = None,
    block: int | None = None,
  ) -> Responses:
    """Continues prompts with one model, spread over the mesh.

    Args:
      params: weights; those that are not laid out by `transformer.shardings`
        of the mesh are so at every call.
      prompts: [Q] token ids.
      keys: [Q] a key for each prompt, unless greedy.
      temperatures: [Q] in place of the one of the decoding, unless greedy.
      rows: prompts that each group of devices continues at a time.
      block: prompt tokens that each reads at a time; found by default.

    Raises:
      UserError: if there are no prompts, or one is empty or too long.
    """
    fields = self._continue(
      params, prompts, keys, temperatures, None, rows, block
    )
    return Responses(*(field[0] for field in fields))

  def generate_members(
    self,
    params: Params,
    prompts: Sequence[Sequence[int]],
    keys: Any = None,
    *,
    temperatures: Any = None,
    rows: int | None = None,
    block: int | None = None,
  ) -> Responses:
    """Continues the same prompts with many members, spread over the mesh.

    Args:
      params: weights of P members as from `layout.stack_members`; P is a
        multiple of the axis `population`.
      prompts: [Q] token ids.
      keys: [P, Q] a key for each response, unless greedy.
      temperatures: [Q] in place of the one of the decoding, unless greedy.
      rows: prompts of each member at a time.
      block: prompt tokens of each member read at a time; found by default.

    Raises:
      UserError: as `generate`.
    """
    num_members = len(params["norm"])
    if num_members % self.programs.num_slots:
      raise UserError(
        "The number of members must be a multiple of the mesh axis population"
        f" ({self.programs.num_slots}), got {num_members}."
      )
    return Responses(
      *self._continue(
        params, prompts, keys, temperatures, num_members, rows, block
      )
    )

  def _continue(
    self, params, prompts, keys, temperatures, num_members, rows, block
  ):
    """The fields of `Responses`, [P, Q, ...]."""
    prompts = [[int(token) for token in prompt] for prompt in prompts]
    check_prompts(prompts, self._config, self._decoding)
    check_counts(rows=rows, block=block)
    keys = self._check_keys(keys, num_members, len(prompts))
    temperatures = self._check_temperatures(temperatures, keys.shape[:2])
    if num_members is None and not layout.is_apart(params):
      params = jax.tree.map(place_weight, params, self._shardings)
    loop = DecodeLoop(
      self.programs,
      self._decoding,
      params,
      prompts,
      keys,
      temperatures,
      num_members=num_members,
      prefix_length=find_prefix(prompts),
      rows=self._rows if rows is None else rows,
      block=block,
      segment=self._segment,
      detokenize=self._detokenize,
    )
    return loop.finish()

  def _check_keys(self, keys, num_members, num_prompts):
    """Data [P, Q, 2] of the keys; zeros when greedy."""
    shape = (
      (num_prompts,) if num_members is None else (num_members, num_prompts)
    )
    data_shape = (num_members or 1, num_prompts, 2)
    if self._decoding.sampling.is_greedy:
      return np.zeros(data_shape, np.uint32)
    if keys is None or keys.shape != shape or not _is_plain_key(keys):
      raise UserError(
        f"Sampling needs an array {shape} of jax.random.key of the default kind"
        f" (threefry2x32), got {keys!r}."
      )
    return np.asarray(jax.random.key_data(keys)).reshape(data_shape)

  def _check_temperatures(self, temperatures, shape) -> np.ndarray:
    """[P, Q] temperatures, those of the decoding by default."""
    default = self._decoding.sampling.temperature
    if temperatures is None:
      return np.full(shape, default, np.float32)
    temperatures = np.asarray(temperatures, np.float32)
    if temperatures.shape != shape[1:] or not (
      np.isfinite(temperatures).all() and (temperatures > 0).all()
    ):
      raise UserError(
        f"temperatures must be {shape[1]} finite numbers above 0, got"
        f" {temperatures!r}."
      )
    if self._decoding.sampling.is_greedy:
      raise UserError(
        "temperatures must not be given to greedy decoding. Make the generator"
        " with Sampling(temperature=1)."
      )
    return np.broadcast_to(temperatures, shape)


def check_prompts(
  prompts: Sequence[Sequence[int]],
  config: TransformerConfig,
  decoding: Decoding,
) -> None:
  """Refuses prompts that cannot be continued.

  Raises:
    UserError: if there are none, or one is empty, too long, or holds an id
      that the model does not have.
  """
  if not len(prompts):
    raise UserError("There must be at least one prompt, got none.")
  for position, prompt in enumerate(prompts):
    if not len(prompt):
      raise UserError(
        f"A prompt must have at least one token, got none in prompt {position}."
        " Begin with the tokenizer's bos token."
      )
    if len(prompt) + decoding.max_new_tokens > config.context:
      raise UserError(
        f"A prompt and its response must fit the model's context of"
        f" {config.context} tokens, got {len(prompt)} +"
        f" {decoding.max_new_tokens} in prompt {position}. Shorten the prompt"
        " or lower max_new_tokens."
      )
    if not 0 <= min(prompt) <= max(prompt) < config.vocab_size:
      raise UserError(
        f"Token ids must be within [0, {config.vocab_size}), got"
        f" {min(prompt)} to {max(prompt)} in prompt {position}. Is this the"
        " model's own tokenizer?"
      )


def find_prefix(prompts: Sequence[Sequence[int]]) -> int:
  """How many first tokens all prompts share, leaving each at least one.

  Short prefixes, and that of a single prompt, count as none.
  """
  if len(prompts) < 2:
    return 0
  first, last = min(prompts), max(prompts)  # The two that differ soonest.
  most = min(len(prompt) for prompt in prompts) - 1
  length = 0
  while length < most and first[length] == last[length]:
    length += 1
  return length if length >= _MIN_PREFIX else 0


def place_weight(weight: Any, sharding: Any) -> jax.Array:
  """Puts a weight where it belongs, unless it lies there already."""
  if getattr(weight, "sharding", None) == sharding:
    return weight
  return jax.device_put(weight, sharding)


def check_counts(**counts: int | None) -> None:
  """Refuses counts below one; None stands for what is found."""
  for name, count in counts.items():
    if count is not None and count < 1:
      raise UserError(f"{name} must be at least 1, got {count}.")


def _is_plain_key(keys: Any) -> bool:
  is_key = jax.dtypes.issubdtype(keys.dtype, jax.dtypes.prng_key)
  return is_key and keys.dtype == jax.random.key(0).dtype
