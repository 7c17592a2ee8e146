"""Tests of `experiments.distil` as users start it; needs torch and peft."""

import json
import pathlib
import random
import signal
import tempfile

import pytest
from absl.testing import parameterized
from end_to_end import commands

from configs import distil as config_file
from experiments.launch import distil_run, distil_specs, finished_randopt
from thickets.errors import UserError
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.models import hub

pytestmark = pytest.mark.slow

# The slow tier runs where the extra is installed, and must not pass without it.
peft = torch = transformers = None

_FLAGS = (
  "--config=configs/distil.py:smoke",
  "--config.lora.rank=4",
  "--config.lora.alpha=64",
)


def setUpModule():
  global peft, torch, transformers
  import peft
  import torch
  import transformers


def _read_files(workdir):
  """What a run leaves behind, without the seconds that it took."""
  results = json.loads((workdir / "results.json").read_text())
  del results["timing"]
  paths = [
    path
    for name in ("model", "adapter", "records")
    for path in sorted((workdir / name).rglob("*"))
    if path.is_file()
  ]
  return results, {path.name: path.read_bytes() for path in paths}


class RunTest(parameterized.TestCase):
  """All on one run of RandOpt, since starting a binary takes longest."""

  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)
    self.run_dir = self.folder / "run"
    self.start(
      "randopt",
      "--config=configs/randopt_conventions.py:smoke",
      "--config.consistency.temperatures=()",
      f"--workdir={self.run_dir}",
    )

  def start(self, name, *flags):
    # As many as those that are killed: sums of gradients are rounded otherwise on
    # another number.
    done = commands.run_binary(name, *flags, num_devices=1)
    self.assertEqual(done.returncode, 0, msg=done.stderr[-3000:])
    return done.stdout

  def flags(self, name):
    return (*_FLAGS, f"--run={self.run_dir}", f"--workdir={self.folder / name}")

  def test_a_distillation_from_its_refusals_to_what_it_leaves(self):
    self.check_refusals()
    printed = self.start("distil", *self.flags("whole"))
    self.assertRegex(printed, r"distilled, \d+ steps")
    self.assertIn("3 members taught", printed)
    self.check_killed()
    self.check_directories(self.folder / "whole")

  def check_refusals(self):
    """What is wrong is said before anything is written."""
    source = finished_randopt.read_spec(str(self.run_dir), "run")
    for changes, message in (
      ({"budget.flops": 1e3}, "budget.flops must be at least .* of one token"),
      ({"lora.targets": ("*.qproj",)}, "lora.targets .* Nearest: layers"),
      ({"teaching.top_k": 9}, "teaching.top_k must be at most 3"),
    ):
      config = config_file.get_config("smoke")
      config.update_from_flattened_dict({"lora.rank": 2} | changes)
      spec = distil_specs.read_distil(config)
      with self.assertRaisesRegex(UserError, message):
        distil_run.run(
          spec, source, str(self.run_dir), str(self.folder / "refused")
        )
      self.assertFalse((self.folder / "refused").exists())

  def check_killed(self):
    """Killed at random it ends with the same bytes."""
    rng, killed = random.Random(0), self.folder / "killed"
    log = killed / "records" / "process_0000.jsonl"
    # While teachers answer, and while weights are fitted and watched.
    for is_there in (
      lambda: log.exists() and log.read_bytes().count(b"\n") >= 3,
      lambda: (killed / "checkpoints" / "3").exists(),
    ):
      status = commands.kill_binary(
        "distil",
        *self.flags("killed"),
        until=is_there,
        delay_s=rng.uniform(0, 0.1),
      )
      self.assertIn(status, (0, -signal.SIGKILL))
    self.start("distil", *self.flags("killed"))
    expected = _read_files(self.folder / "whole")
    self.assertEqual(_read_files(killed), expected)
    self.assertIn("adapter_model.safetensors", expected[1])

  def check_directories(self, workdir):
    """Model and adapter answer in `transformers` and `peft` as here."""
    fields = json.loads(
      (workdir / "adapter" / "adapter_config.json").read_text()
    )
    base = hub.load(fields["base_model_name_or_path"])
    hub.save(self.folder / "base", base)
    model = hub.load(workdir / "model")
    questions = [f"turn {number}?" for number in range(10234, 10254)]
    prompts = [model.tokenizer.encode(question) for question in questions]
    generator = Generator(model.config, Decoding.for_model(model, 8))
    found = generator.generate(model.params, prompts)
    before = generator.generate(base.params, prompts)
    self.assertNotEqual(found.tokens.tolist(), before.tokens.tolist())

    def read(path):
      return transformers.AutoModelForCausalLM.from_pretrained(path).eval()

    adapted = peft.PeftModel.from_pretrained(
      read(self.folder / "base"), workdir / "adapter"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(workdir / "model")
    for theirs in (read(workdir / "model"), adapted.eval()):
      for row, question in enumerate(questions):
        asked = tokenizer(question, return_tensors="pt")["input_ids"]
        out = theirs.generate(
          input_ids=asked,
          attention_mask=torch.ones_like(asked),
          do_sample=False,
          max_new_tokens=8,
          pad_token_id=0,
        )
        said = found.tokens[row, : found.lengths[row]]
        self.assertEqual(out[0, asked.shape[1] :].tolist(), said.tolist())
