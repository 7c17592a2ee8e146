"""Renews transformers_values.json: what `transformers` computes for the cases.

    python tests/golden/make_transformers_values.py

Needs the extra `torch`. Run it when a case changes, and read the difference.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from golden import transformer_cases as cases

from thickets.models import checkpoint, families


def main():
  """Writes the values of all cases."""
  values = {name: measure(fields) for name, fields in cases.CASES.items()}
  contents = {
    "transformers": transformers.__version__,
    "torch": torch.__version__,
    "cases": values,
  }
  text = json.dumps(contents, indent=None, separators=(",", ":"))
  cases.PATH.write_text(text.replace('"cases"', '\n"cases"') + "\n")


def measure(fields):
  """Logits of the prompt's last tokens, and greedy tokens with their gaps."""
  model = load(fields)
  tokens = torch.tensor(cases.make_prompt(fields)[None].astype(np.int64))
  with torch.no_grad():
    logits = model(tokens).logits[0]
    out = model.generate(
      tokens,
      attention_mask=torch.ones_like(tokens),
      do_sample=False,
      max_new_tokens=cases.NUM_STEPS,
      eos_token_id=None,
      pad_token_id=0,
      output_logits=True,
      return_dict_in_generate=True,
    )
  best = [torch.topk(step[0], 2).values for step in out.logits]
  return {
    "logits": [
      [float(f"{value:.7g}") for value in row] for row in logits[-2:].tolist()
    ],
    "greedy": out.sequences[0, tokens.shape[1] :].tolist(),
    "gaps": [float(f"{float(two[0] - two[1]):.3g}") for two in best],
  }


def load(fields):
  """The case's model in torch."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder)
    (path / "config.json").write_text(json.dumps(fields))
    checkpoint.write_weights(
      path,
      families.parse_config(fields),
      cases.make_params(fields),
      max_shard_bytes=1e9,
    )
    return transformers.AutoModelForCausalLM.from_pretrained(
      path, dtype=torch.float32, attn_implementation="eager"
    ).eval()


if __name__ == "__main__":
  main()
