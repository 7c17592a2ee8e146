"""Roll-outs: sampled responses to the prompts of a step, graded and padded.

All randomness of a step follows from the seed and the number of the step, so that a
run that is continued samples the same responses again. Temperature is 1 and no token
is cut off, so that the log-probabilities that the generator returns are those by
which it sampled.
"""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from thickets.errors import UserError
from thickets.generation.decode_step import NO_TOKEN
from thickets.generation.grading_workers import Grading
from thickets.generation.language_evaluator import (
  LanguageEvaluator,
  PromptBatch,
)
from thickets.generation.sampling import Sampling
from thickets.members import BASE
from thickets.naming import Params
from thickets.search.evaluator import Channels
from thickets.search.staged import GradingQueue
from thickets.training.policy_spec import RolloutSpec

SAMPLING = Sampling(temperature=1.0)
_RESPONSES, _PROMPTS = 1, 2  # The purposes of random numbers.


@dataclasses.dataclass(frozen=True)
class Rollouts:
  """The responses of a step, those to one prompt side by side.

  Attributes:
    tokens: [R, S] each row a prompt and its response, from the first column on;
      0 behind their end. S is the same for all steps.
    starts: [R] the column where the response begins.
    mask: [R, N] 1 for each token of a response, 0 behind its end.
    log_probs: [R, N] the generator's log-probability of each token.
    channels: [R] what grading found, by name: `score`, higher is better.
  """

  tokens: Int[np.ndarray, "R S"]
  starts: Int[np.ndarray, " R"]
  mask: Float[np.ndarray, "R N"]
  log_probs: Float[np.ndarray, "R N"]
  channels: Channels

  @property
  def scores(self) -> Float[np.ndarray, " R"]:
    """[R] the score of each response."""
    return np.asarray(self.channels["score"], np.float64)

  def to_batch(self) -> dict[str, np.ndarray]:
    """What models read of them, by the names of `policy_update`."""
    return {
      "tokens": self.tokens,
      "starts": self.starts,
      "mask": self.mask,
      "old_log_probs": self.log_probs,
    }


def make_key(seed: int) -> PRNGKeyArray:
  """The key of all roll-outs of a run."""
  return jax.random.fold_in(jax.random.key(seed), _RESPONSES)


def draw_prompts(
  spec: RolloutSpec, num_prompts: int, step: int
) -> Int[np.ndarray, " B"]:
  """Draws the prompts of a step, each once before any comes a second time.

  Where their number is no multiple of B, some are left out of each round.

  Args:
    spec: how many prompts a step has, and the seed.
    num_prompts: how many there are, at least B.
    step: the step, from 0.

  Returns:
    [B] positions of different prompts.
  """
  steps_per_round = num_prompts // spec.num_prompts
  number, part = divmod(step, steps_per_round)
  rng = np.random.default_rng([spec.seed, _PROMPTS, number])
  order = rng.permutation(num_prompts)
  return order[part * spec.num_prompts : (part + 1) * spec.num_prompts]


def make_step_batch(
  spec: RolloutSpec, prompts: PromptBatch, step: int
) -> dict[str, np.ndarray]:
  """Makes the prompts [R, ...] of a step, each G times with numbers of its own.

  Args:
    spec: how many prompts and responses a step has.
    prompts: [Q, ...] all prompts, as from `language_evaluator.make_batch`.
    step: the step, from 0.
  """
  chosen = draw_prompts(spec, len(prompts["index"]), step)
  rows = np.repeat(chosen, spec.group)
  samples = step * spec.group + np.arange(spec.group, dtype=np.uint32)
  return {
    "tokens": np.asarray(prompts["tokens"])[rows],
    "index": np.asarray(prompts["index"])[rows],
    "sample": np.tile(samples, spec.num_prompts).astype(np.uint32),
  }


class Sampler:
  """Samples and grades the roll-outs of a step.

  Args:
    spec: how many prompts and responses a step has.
    evaluator: what generates, with `SAMPLING` and the key of `make_key`.
    grading: what grades the responses.
    prompts: [Q, ...] all prompts, of which each step draws some.

  Raises:
    UserError: if there are fewer prompts than a step needs.
  """

  def __init__(
    self,
    spec: RolloutSpec,
    evaluator: LanguageEvaluator,
    grading: Grading,
    prompts: PromptBatch,
  ):
    if len(prompts["index"]) < spec.num_prompts:
      raise UserError(
        "rollout.num_prompts must be at most task.num_select, got"
        f" {spec.num_prompts} > {len(prompts['index'])}. Lower it, or raise"
        " task.num_select."
      )
    self._spec, self._evaluator, self._prompts = spec, evaluator, prompts
    self._queue = GradingQueue(grading.host_fn, grading.executor)

  def sample(self, weights: Params, step: int) -> Rollouts:
    """Samples the roll-outs of a step from some weights.

    Raises:
      UserError: if the logits of the weights are not finite.
    """
    batch = make_step_batch(self._spec, self._prompts, step)
    weights, _ = self._evaluator.place(weights, batch, 1)
    responses = self._evaluator.respond(weights, [BASE], batch)
    graded = self._queue.submit(responses, 1, batch)
    log_probs = responses.log_probs[0]
    if not np.isfinite(log_probs).all():
      raise UserError(
        f"The logits must stay finite, got others from the weights after {step}"
        " steps. Lower policy.learning_rate, or choose another model.dtype."
      )
    texts = join_texts(batch, responses.tokens[0])
    channels = {name: array[0] for name, array in graded.result().items()}
    channels["prompt_tokens"] = texts["starts"]
    channels["example"] = batch["index"]
    return Rollouts(**texts, log_probs=log_probs, channels=channels)


def join_texts(
  batch: Mapping[str, np.ndarray], responses: Int[np.ndarray, "R N"]
) -> dict[str, np.ndarray]:
  """Puts responses behind their prompts.

  Args:
    batch: the prompts, `tokens` [R, T] with `NO_TOKEN` behind their end.
    responses: [R, N] token ids, `NO_TOKEN` behind their end.

  Returns:
    `tokens` [R, T + N], `starts` [R] and `mask` [R, N], as `Rollouts` has them.
  """
  prompts = batch["tokens"]
  starts = np.sum(prompts != NO_TOKEN, axis=1).astype(np.int32)
  mask = responses != NO_TOKEN
  tokens = np.zeros(
    (len(prompts), prompts.shape[1] + responses.shape[1]), np.int32
  )
  tokens[:, : prompts.shape[1]] = np.where(prompts == NO_TOKEN, 0, prompts)
  rows, offsets = np.nonzero(mask)
  tokens[rows, starts[rows] + offsets] = responses[mask]
  return {"tokens": tokens, "starts": starts, "mask": mask.astype(np.float32)}
