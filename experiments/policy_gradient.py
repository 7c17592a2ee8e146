"""GRPO and PPO on a language model: one model that learns from its own responses.

    python -m experiments.policy_gradient --workdir=DIR \
      --config=configs/policy_gradient.py:grpo-laptop

Samples responses to some prompts of selection, grades them, makes the better ones
likelier, and begins anew. At the end the base and the last weights are judged on
prompts that took no part. The same command continues a run that was stopped, and
ends with the same bytes. The directory then holds `model`, which transformers loads,
`results.json` and a figure; and `adapter`, which peft loads, where low-rank adapters
were trained.
"""

from experiments import launch
from experiments.launch import (
  next_steps,
  policy_gradient_run,
  policy_results,
  policy_specs,
)
from thickets.report import ledger_table, trained_table

_SIGMA = 1e-3  # Of members around the new weights, as the paper has it.
FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.policy_gradient"
  " --config=configs/policy_gradient.py:grpo-laptop --workdir=runs/grpo",
)
FLAGS.define_config()
FLAGS.define_workdir(needs_disk=policy_gradient_run.NEEDS_DISK)
FLAGS.define_cluster()
FLAGS.define_grace()


def main(_: list[str]) -> None:
  """Reads the flags, runs, and prints the tables."""
  workdir = FLAGS.workdir
  spec = policy_specs.read_policy(FLAGS.config)
  launch.start_devices(FLAGS)
  results = policy_gradient_run.run(spec, workdir)
  print(trained_table.format_trained(results))
  print(f"\n{policy_results.describe_steps(results)}\n")
  print(ledger_table.format_ledgers(results["ledger"], results["timing"]))
  print(
    next_steps.format_ending(
      f"The model is in {workdir}/model.",
      results["timing"],
      next_steps.after_one_model(workdir, spec.task, _SIGMA),
    )
  )


if __name__ == "__main__":
  launch.run(main, FLAGS)
