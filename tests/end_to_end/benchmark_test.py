"""Tests of the benchmark binary: its figures, its refusals, what it needs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import ml_collections
import pytest
from absl.testing import parameterized

from configs import benchmark_language as config_file
from experiments.benchmark import language
from thickets.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
_ABSENT = ("datasets", "huggingface_hub", "safetensors", "tokenizers", "tqdm")


def _run(workdir, config, *overrides, absent=_ABSENT):
  """Runs the benchmark without libraries; returns what it wrote."""
  # As on a bare accelerator machine: importing any of them raises.
  code = f"""
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
  def find_spec(self, name, path, target=None):
    if name.split(".")[0] in {absent!r}:
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
runpy.run_module("experiments.benchmark", None, "__main__")
"""
  flags = [
    f"--config=configs/{config}",
    f"--workdir={workdir}",
    *(f"--config.{override}" for override in overrides),
  ]
  kept = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
  done = subprocess.run(
    [sys.executable, "-c", code, *flags],
    cwd=ROOT,
    env=kept | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  written = (pathlib.Path(workdir) / "benchmark.json").read_text("utf-8")
  return json.loads(written), done.stdout


class BenchmarkTest(parameterized.TestCase):
  @pytest.mark.slow
  def test_phases_of_a_real_model_stand_over_their_rooflines(self):
    workdir = self.enter_context(tempfile.TemporaryDirectory())
    # No directory of transformers': it is compared through one that is saved.
    figures, printed = _run(
      workdir, "benchmark_chat.py:smoke", "compare=transformers", absent=()
    )
    phases = ("perturb", "prefill", "decode")
    self.assertAlmostEqual(
      sum(figures[f"{phase}_s"] for phase in phases), figures["member_s"]
    )
    self.assertAlmostEqual(
      sum(figures[f"{phase}_least_s"] for phase in phases),
      figures["member_least_s"],
    )
    self.assertIn("member_over_least", printed)
    self.assertAlmostEqual(
      figures["speedup"], figures["transformers_s"] / figures["member_s"]
    )

  @parameterized.parameters(
    "benchmark_language.py", "benchmark_signals.py", "benchmark_denoising.py"
  )
  @pytest.mark.slow
  def test_runs_without_data_grading_and_hub(self, config):
    workdir = self.enter_context(tempfile.TemporaryDirectory())
    figures, printed = _run(
      workdir, f"{config}:smoke", absent=(*_ABSENT, "transformers", "torch")
    )
    self.assertGreater(figures["compile_s"], 0)
    for name, value in figures.items():
      if isinstance(value, float | int):
        self.assertGreaterEqual(value, 0, msg=name)
        self.assertIn(name, printed)

  @pytest.mark.slow
  def test_phases_add_up_and_the_comparison_is_of_the_same_run(self):
    workdir = self.enter_context(tempfile.TemporaryDirectory())
    figures, _ = _run(
      workdir, "benchmark_language.py:smoke", "compare=transformers", absent=()
    )
    phases = ("perturb_s", "prefill_s", "decode_s")
    if figures["decode_s"] is not None:  # Not lost in the noise of the others.
      self.assertAlmostEqual(
        sum(figures[phase] for phase in phases), figures["member_s"]
      )
    self.assertAlmostEqual(
      figures["speedup"], figures["transformers_s"] / figures["member_s"]
    )

  @parameterized.parameters(
    ({"dtype": "int8"}, "dtype must be one of"),
    ({"compare": "vllm"}, "compare must be one of"),
    ({"layers": "some"}, "layers must be one of"),
    ({"num_prompts": 0}, "num_prompts must be at least 1"),
    ({"new_tokens": 1}, "new_tokens must be at least 2"),
    ({"prompt_tokens": 600}, "the model's context of 512"),
    ({"model": {"model_type": "mamba"}}, "model_type must be one of"),
  )
  def test_refuses_before_any_work(self, change, message):
    config = ml_collections.ConfigDict(
      config_file.get_config("smoke").to_dict() | change
    )
    with self.assertRaisesRegex(UserError, message):
      language.validate(config)

  @parameterized.parameters(*config_file.SHAPES)
  def test_every_variant_is_valid(self, variant):
    language.validate(config_file.get_config(variant))

  def test_sizes_are_those_of_the_published_models(self):
    from thickets.models import families, transformer

    counts = {
      variant: transformer.count_params(
        families.parse_config(config_file.get_config(variant).model.to_dict())
      )
      for variant in ("qwen2_5_0_5b", "qwen2_5_1_5b", "qwen2_5_3b")
    }
    # As the model cards say: 0.49B, 1.54B, 3.09B.
    self.assertEqual(
      [round(count / 1e9, 2) for count in counts.values()], [0.49, 1.54, 3.09]
    )
