"""The array of docs/launch/slurm_array.sh, on a cluster of one node."""

import pathlib
import sys
import tempfile
import time

import pytest
from absl.testing import absltest
from end_to_end import launch_recipes, slurm_cluster

_FLAGS = (
  "--config=configs/countdown_tiny.py:smoke",
  "--config.seed=0",  # For both runs, so that they can be compared.
  "--config.population.size=8",
  "--config.task.num_select=20",
  "--config.task.num_dev=20",
  "--config.task.num_judge=20",
  "--config.ensemble.top_k=2",
  "--config.ensemble.also=(1,)",
  "--config.compute.rows=20",
)


@pytest.mark.slow
class SlurmTest(absltest.TestCase):
  def test_a_run_that_is_told_to_end_is_requeued_and_continues(self):
    if not slurm_cluster.is_installed():
      self.skipTest("slurm-wlm and munge are not installed.")
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    env = self.enter_context(slurm_cluster.running(folder))
    env |= {
      "PYTHON": sys.executable,
      "PYTHONPATH": str(launch_recipes.ROOT),
      "RESULTS": str(folder),
      "JAX_NUM_CPU_DEVICES": "1",
    }

    def ask(*command):
      return slurm_cluster.ask(env, *command)

    def wait_for(is_true):
      for _ in range(1000):
        if is_true():
          return
        time.sleep(0.2)
      self.fail(ask("scontrol", "show", "job") + read_logs())

    def read_logs():
      return "".join(path.read_text("utf-8") for path in folder.glob("*_*.log"))

    job = ask(
      "sbatch",
      "--parsable",
      "--array=0-1",
      f"--chdir={launch_recipes.ROOT}",
      f"--output={folder}/%A_%a.log",
      str(launch_recipes.FOLDER / "slurm_array.sh"),
      *_FLAGS,
    ).strip()
    wait_for((folder / "gsm8k-1/config.json").exists)
    # As `--signal=TERM@120` tells it: the step alone, not its script.
    ask("scancel", "--signal=TERM", f"{job}_1")
    wait_for(lambda: not ask("squeue", "--noheader"))
    for task, restarts in ((0, 0), (1, 1)):
      told = ask("scontrol", "show", "job", f"{job}_{task}")
      self.assertIn("JobState=COMPLETED", told, read_logs())
      self.assertIn(f"Restarts={restarts} ", told)
    experts = [
      (folder / f"gsm8k-{task}/experts.json").read_text("utf-8")
      for task in (0, 1)
    ]
    self.assertEqual(*experts)


if __name__ == "__main__":
  absltest.main()
