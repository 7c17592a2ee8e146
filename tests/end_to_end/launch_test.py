"""Tests that the recipes of docs/launch would start what the binaries are."""

import importlib
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
from absl.testing import parameterized
from end_to_end import launch_recipes as recipes

from experiments import launch
from experiments.launch import ending, specs

_TOOLS = recipes.ROOT / ".ci/launchers"
_SETUP = (recipes.ROOT / "setup.py").read_text("utf-8")
_ALL = (*recipes.SCRIPTS, *recipes.JOBSETS, *recipes.TASKS)


def _parse(argv):
  """The flags of a run, read from a command line as a run reads them."""
  flags = launch.BinaryFlags("", "python -m experiments.randopt")
  flags.define_config()
  flags.define_workdir()
  flags.define_cluster()
  flags.define_grace()
  flags.define_check()
  assert flags.parse(["x", *argv]) == ["x"]
  return flags


class RecipesTest(parameterized.TestCase):
  def test_there_are_some_of_each_kind(self):
    self.assertEqual(
      list(map(len, (recipes.SCRIPTS, recipes.JOBSETS, recipes.TASKS))),
      [4, 2, 2],
    )

  @parameterized.parameters(*_ALL)
  def test_commands_have_the_flags_of_their_binary(self, name):
    binary, *argv = recipes.find_command(name)
    flags = _parse(argv)
    known = importlib.import_module(binary).FLAGS.values
    given = {word.lstrip("-").partition("=")[0] for word in argv}
    self.assertContainsSubset({g for g in given if "." not in g}, set(known))
    specs.read_randopt(flags.config)
    self.assertTrue(flags.values["workdir"].value)
    alone = name == "slurm_array.sh"
    self.assertEqual(flags.cluster is None, alone)

  @parameterized.parameters(*recipes.SCRIPTS, *recipes.TASKS)
  def test_shell_code_is_read_by_bash(self, name):
    done = subprocess.run(
      ["bash", "-n"],
      input=recipes.find_shell(name),
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual((done.returncode, done.stderr), (0, ""))

  def test_extras_exist(self):
    known = set(re.findall(r'^    "([\w-]+)":', _SETUP, re.M))
    found = []
    for path in recipes.FOLDER.iterdir():
      text = path.read_text("utf-8")
      found += re.findall(r"--editable '\.\[([\w,]+)\]", text)
      found += re.findall(r"EXTRAS=([\w,]+)", text)
    self.assertGreaterEqual(len(found), 6)
    self.assertContainsSubset(set(",".join(found).split(",")), known)

  def test_all_start_again_what_ends_with_the_same_status(self):
    found = {
      *re.findall(
        r"^(?:unfinished=|  --restart-on-exit-codes=)(\d+)",
        "\n".join(map(recipes.find_shell, recipes.SCRIPTS)),
        re.M,
      ),
      *(
        str(code)
        for name in recipes.TASKS
        for code in recipes.read_yaml(name)["resources"]["job_recovery"][
          "recover_on_exit_codes"
        ]
      ),
    }
    self.assertEqual(found, {str(ending.UNFINISHED)})

  def test_a_slice_has_as_many_chips_as_its_pods(self):
    job = recipes.find_job("jobset_tpu.yaml")
    chips = recipes.find_container("jobset_tpu.yaml")["resources"]["limits"]
    topology = job["template"]["spec"]["nodeSelector"][
      "cloud.google.com/gke-tpu-topology"
    ]
    self.assertEqual(
      job["parallelism"] * chips["google.com/tpu"],
      math.prod(map(int, topology.split("x"))),
    )

  @parameterized.parameters(*recipes.JOBSETS)
  def test_all_pods_of_a_set_run_at_once(self, name):
    job, container = recipes.find_job(name), recipes.find_container(name)
    self.assertEqual(job["parallelism"], job["completions"])
    self.assertEqual(job["completionMode"], "Indexed")
    self.assertEqual(
      container["resources"]["requests"], container["resources"]["limits"]
    )
    counts = [a for a in container["args"] if a.startswith("--num_processes=")]
    for count in counts:
      self.assertEqual(count, f"--num_processes={job['parallelism']}")


@pytest.mark.slow
class ForeignSchemasTest(parameterized.TestCase):
  """What the launchers' own programs say of the recipes."""

  def setUp(self):
    super().setUp()
    if not _TOOLS.is_dir():
      self.skipTest(f"{_TOOLS} is made by .ci/run.")

  def run_tool(self, *arguments):
    done = subprocess.run(
      [str(argument) for argument in arguments],
      cwd=recipes.FOLDER,
      env={
        **os.environ,
        "PYTHONPATH": str(_TOOLS),
        "HOME": self.enter_context(tempfile.TemporaryDirectory()),
      },
      capture_output=True,
      text=True,
      timeout=120,
      check=False,
    )
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

  def run_code(self, code):
    self.run_tool(sys.executable, "-c", code)

  def test_jobs_and_sets_are_those_of_kubernetes(self):
    self.run_code(f"""
import kubernetes_validate, yaml
from kubeflow_trainer_api import models
for name in {recipes.JOBSETS}:
  content = yaml.safe_load(open(name))
  for one in content["spec"]["replicatedJobs"]:
    job = dict(apiVersion="batch/v1", kind="Job", metadata=dict(name="x"))
    job["spec"] = one["template"]["spec"]
    kubernetes_validate.validate(job, "1.33", strict=True)
  # What the schema of JobSet does not know is dropped in reading.
  read = models.JobsetV1alpha2JobSet.from_dict(content).to_dict()
  assert read == content, (read, content)
""")

  def test_tasks_are_those_of_skypilot(self):
    self.run_code(f"""
import sky, yaml
for name in {recipes.TASKS}:
  task = yaml.safe_load(open(name))
  task = sky.Task.from_yaml_config(task, env_overrides=[("RESULTS", "s3://b")])
  assert all(one.use_spot for one in task.resources), task.resources
""")

  @parameterized.parameters(*recipes.SCRIPTS, *recipes.TASKS)
  def test_shellcheck_has_no_objection(self, name):
    path = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    (path / "code.sh").write_text(recipes.find_shell(name), "utf-8")
    self.run_tool(_TOOLS / "bin/shellcheck", path / "code.sh")
