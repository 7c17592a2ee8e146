"""Tests of what is said of a model's generation_config.json when it loads."""

import json
import pathlib
import tempfile

import transformers
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.models import generation_defaults, hub

# As published with Qwen2.5-0.5B-Instruct.
QWEN = {
  "bos_token_id": 151643,
  "do_sample": True,
  "eos_token_id": [151645, 151643],
  "repetition_penalty": 1.1,
  "temperature": 0.7,
  "top_k": 20,
  "top_p": 0.8,
}


class FindTest(parameterized.TestCase):
  def test_a_penalty_is_found_and_sampling_is_none(self):
    self.assertEqual(
      generation_defaults.find_not_applied(QWEN, {}),
      {"repetition_penalty": 1.1},
    )

  @parameterized.parameters(
    {"repetition_penalty": 1.0, "num_beams": 1, "min_length": 0},
    {"no_repeat_ngram_size": 0, "bad_words_ids": None, "suppress_tokens": []},
    {"sequence_bias": {}, "guidance_scale": 1, "penalty_alpha": 0.0},
    {"cache_implementation": "static", "cache_config": {"a": 1}},
    {"max_length": 20, "use_cache": True, "pad_token_id": 0, "temperature": 9},
  )
  def test_what_changes_no_greedy_response_is_not_named(self, **generation):
    self.assertEmpty(generation_defaults.find_not_applied(generation, {}))

  @parameterized.parameters(*vars(transformers.GenerationConfig()))
  def test_what_transformers_reads_is_known(self, name):
    if not name.startswith("_"):  # Where else the values come from.
      self.assertEmpty(generation_defaults.find_unknown({name: 7}))

  def test_what_is_not_known_is_found(self):
    generation = {"max_length": 9, "dry_multiplier": 0.8, "chat_format": None}
    found = generation_defaults.find_unknown(generation)
    self.assertEqual(found, {"dry_multiplier": 0.8})
    self.assertEmpty(generation_defaults.find_unknown(None))

  @parameterized.parameters(
    ("cache_implementation", "quantized"),
    ("no_repeat_ngram_size", 3),
    ("bad_words_ids", [[5]]),
    ("suppress_tokens", [0]),
    ("begin_suppress_tokens", [220, 50256]),
    ("forced_bos_token_id", 0),
    ("forced_eos_token_id", 0),
    ("min_new_tokens", 2),
    ("min_length", 2),
    ("num_beams", 4),
    ("exponential_decay_length_penalty", [5, 1.1]),
    ("stop_strings", ["Q:"]),
    ("presence_penalty", 1.5),
  )
  def test_what_changes_one_is_named(self, name, value):
    generation = {name: value}
    self.assertEqual(
      generation_defaults.find_not_applied(generation, {}), generation
    )

  def test_config_json_says_it_where_there_is_no_other_file(self):
    fields = {"repetition_penalty": 1.2}
    find = generation_defaults.find_not_applied
    self.assertEqual(find(None, fields), fields)
    self.assertEmpty(find({}, fields))


class LoadTest(parameterized.TestCase):
  def load(self, generation):
    """The log lines of a model's loading, less those of other parts."""
    folder = self.enterContext(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / "model"
    hub.save(path, cases.make_model())
    if generation is not None:
      (path / "generation_config.json").write_text(json.dumps(generation))
    with self.assertLogs("absl", "INFO") as logged:
      generation_defaults.logging.info("begin")
      hub.load(path)
    return [line for line in logged.output if "config.json" in line]

  def test_a_warning_and_a_line_on_sampling(self):
    warning, line = self.load({"repetition_penalty": 1.1, "do_sample": True})
    self.assertRegex(
      warning,
      "^WARNING:.*model: its generation_config.json asks for"
      " repetition_penalty=1.1, which is not applied",
    )
    self.assertRegex(line, "^INFO:.*asks for sampling with its defaults")

  def test_a_warning_names_what_is_not_known(self):
    (warning,) = self.load({"dry_multiplier": 0.8})
    self.assertRegex(warning, "^WARNING:.*has dry_multiplier=0.8, under names")

  def test_nothing_is_said_of_what_changes_nothing(self):
    self.assertEmpty(self.load(None))
    self.assertEmpty(self.load({"eos_token_id": 3, "do_sample": False}))
