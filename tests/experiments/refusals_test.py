"""Tests of what counts as a refusal that names a field."""

import pytest

from experiments.validation import refusals

FIELDS = {
  "model_type": "llama",
  "rope_scaling": {"type": "yarn", "attention_factor": 1.2},
}


@pytest.mark.parametrize(
  ("message", "field"),
  [
    ("hidden_act must be one of ['silu'], got 'x'.", "hidden_act"),
    ("rope_scaling and rope_parameters must agree, got 1.", "rope_scaling"),
    ("attention_factor must be a number, got 'x'.", "attention_factor"),
    (
      "hidden_size (18) must be a multiple of num_attention_heads.",
      "hidden_size",
    ),
    ("low_freq_factor must be a number, got none.", "low_freq_factor"),
    # The field of another class, a part of a word, behind the rule, no rule.
    ("n_embd must be a number.", None),
    ("The factors must be positive.", None),
    ("The model must be another, got hidden_size 3.", None),
    ("Cannot read hidden_size.", None),
  ],
)
def test_a_refusal_names_the_field_of_its_rule(message, field):
  assert refusals.find_field(message, FIELDS) == field
