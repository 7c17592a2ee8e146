"""What a model was published to be generated with, and what of it is not done.

`transformers` follows a model's generation_config.json, also where it decodes
greedily. Here the task and the run say how responses are generated, so that
members and base answer by the model's own logits; what is left out is said.
"""

from collections.abc import Mapping
from typing import Any

from absl import logging

# What changes a response even if it is greedy, with the value that changes
# nothing; nor do None and what is empty.
_NEUTRAL: dict[str, Any] = {
  "repetition_penalty": 1,
  "encoder_repetition_penalty": 1,
  "presence_penalty": 0,
  "frequency_penalty": 0,
  "no_repeat_ngram_size": 0,
  "encoder_no_repeat_ngram_size": 0,
  "min_length": 0,
  "min_new_tokens": 0,
  "exponential_decay_length_penalty": None,
  "suppress_tokens": None,
  "begin_suppress_tokens": None,
  "bad_words_ids": None,
  "sequence_bias": None,
  "forced_bos_token_id": None,
  "forced_eos_token_id": None,
  "force_words_ids": None,
  "constraints": None,
  "stop_strings": None,
  "max_time": None,
  "num_beams": 1,
  "num_beam_groups": 1,
  "penalty_alpha": 0,
  "dola_layers": None,
  "guidance_scale": 1,
  "watermarking_config": None,
  "token_healing": False,
}
# What counts only if tokens are drawn.
_SAMPLING: dict[str, Any] = {
  "temperature": None,
  "top_k": None,
  "top_p": None,
  "min_p": None,
  "top_h": None,
  "typical_p": None,
  "epsilon_cutoff": None,
  "eta_cutoff": None,
}
# What leaves greedy responses as they are, up to the length that the task allows:
# tokens that are read elsewhere or not at all; lengths; details of beams, of
# contrastive search and of drafts by another model; and how and where
# transformers computes.
_WITHOUT_EFFECT = frozenset(
  (
    "bos_token_id",
    "decoder_start_token_id",
    "do_sample",
    "eos_token_id",
    "pad_token_id",
    "max_length",
    "max_new_tokens",
    "diversity_penalty",
    "early_stopping",
    "length_penalty",
    "low_memory",
    "num_return_sequences",
    "remove_invalid_values",
    "renormalize_logits",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "is_assistant",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "prompt_lookup_num_tokens",
    "speculation_type",
    "target_lookbehind",
    "use_mtp",
    "cache_config",
    "compile_config",
    "continuous_batching_config",
    "disable_compile",
    "max_cache_len",
    "prefill_chunk_size",
    "return_legacy_cache",
    "use_cache",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "return_dict_in_generate",
    "transformers_version",
  )
)
_CACHE = "cache_implementation"
_ROUNDING_CACHE = "quantized"  # Others hold keys and values as they are.


def find_not_applied(
  generation: Mapping[str, Any] | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
  """What a model asks for, by name, that changes greedy responses.

  Args:
    generation: the contents of generation_config.json; None if there is none.
    fields: the contents of config.json, which says it where that is missing.
  """
  said = fields if generation is None else generation
  found = _pick(said, _NEUTRAL)
  if said.get(_CACHE) == _ROUNDING_CACHE:
    found[_CACHE] = _ROUNDING_CACHE
  return found


def find_unknown(generation: Mapping[str, Any] | None) -> dict[str, Any]:
  """What a generation_config.json says, by name, under names not known here.

  They may be those of a newer version of `transformers`, or of another program.
  """
  known = {*_NEUTRAL, *_SAMPLING, *_WITHOUT_EFFECT, _CACHE}
  return {
    name: value
    for name, value in (generation or {}).items()
    if name not in known
    and not name.startswith("_")
    and value not in (None, [], {}, "", False)
  }


def report(
  name: str,
  generation: Mapping[str, Any] | None,
  fields: Mapping[str, Any],
) -> None:
  """Logs, in a line each, what is not applied, and that nothing is drawn.

  Args:
    name: the name of the model.
    generation: the contents of generation_config.json; None if there is none.
    fields: the contents of config.json, which says it where that is missing.
  """
  file = "config.json" if generation is None else "generation_config.json"
  if left_out := find_not_applied(generation, fields):
    logging.warning(
      "%s: its %s asks for %s, which is not applied: responses follow the model's"
      " own logits. To compare with generate() of transformers, pass it the values"
      " that change nothing, such as repetition_penalty=1.0.",
      name,
      file,
      _list_values(left_out),
    )
  if unknown := find_unknown(generation):
    logging.warning(
      "%s: its %s has %s, under names that are not known here; they are not"
      " applied",
      name,
      file,
      _list_values(unknown),
    )
  said = fields if generation is None else generation
  if said.get("do_sample"):
    drawn = _list_values(_pick(said, _SAMPLING)) or "its defaults"
    logging.info(
      "%s: its %s asks for sampling with %s; responses are greedy unless a run"
      " samples at temperatures of its own",
      name,
      file,
      drawn,
    )


def _pick(
  said: Mapping[str, Any], neutral: Mapping[str, Any]
) -> dict[str, Any]:
  """The values that change something."""
  return {
    name: said[name]
    for name, value in neutral.items()
    if said.get(name) not in (None, [], {}, "", value)
  }


def _list_values(values: Mapping[str, Any]) -> str:
  shown = []
  for name, value in values.items():
    text = repr(value)
    shown.append(f"{name}={text if len(text) <= 40 else text[:39] + '…'}")
  return ", ".join(shown)
