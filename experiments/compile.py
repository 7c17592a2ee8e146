"""Compiles a run's programs for machines that are not here, and reads them.

    python -m experiments.compile --config=configs/compile.py:qwen2_5_7b \
      --target=v5e:4x4
    python -m experiments.compile --config=configs/randopt.py:qwen2_5_7b-gsm8k \
      --target=h100:8 --prompt_tokens=256

Prints, for each machine, the programs with their memory and the bytes that they
move, and the members per hour that its published peaks allow. Needs no
accelerator, no weights and, with --prompt_tokens, no data: only the compiler,
which the extra compile-tpu or compile-cuda installs.
"""

import os

import jax
from absl import flags
from jax.sharding import Mesh

from experiments import launch
from experiments.benchmark import roofline
from experiments.launch import compiling
from thickets.generation import forecast as forecast_lib
from thickets.report import forecast_table
from thickets.search import targets

# libtpu asks for them as it starts, whatever the machine is; and it would not
# start twice at a time, though no process here holds a device.
_TPU_ENVIRONMENT = {
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-8",
  "TPU_WORKER_HOSTNAMES": "localhost",
}

FLAGS = launch.BinaryFlags(
  __doc__,
  "python -m experiments.compile --config=configs/compile.py:qwen2_5_7b"
  " --target=v5e:4x4",
)
FLAGS.define_config()
_TARGET = flags.DEFINE_list(
  "target",
  None,
  "The machine, by the compiler's name: v5e:4x4, v5p:2x2x2, v6e:2x4, h100:8,"
  " a100:1, h200:1, b200:8; or several, divided by commas.",
  flag_values=FLAGS.values,
)
_PROMPT_TOKENS = flags.DEFINE_integer(
  "prompt_tokens",
  None,
  "Tokens of the longest prompt of a run's config, in place of its data.",
  flag_values=FLAGS.values,
)
_EVERY = flags.DEFINE_bool(
  "every",
  False,
  "Compile each segment of decoding, not only the first and the last.",
  flag_values=FLAGS.values,
)


def main(_: list[str]) -> None:
  """Reads the flags, compiles, prints."""
  launch.refuse([] if _TARGET.value else ["--target must name a machine."])
  machines = [targets.parse(name) for name in _TARGET.value]
  case = compiling.read_case(FLAGS.config, _PROMPT_TOKENS.value)
  os.environ.update(_TPU_ENVIRONMENT)
  jax.config.update("jax_platforms", "cpu")  # Nothing runs on another.
  launch.start_devices(FLAGS)
  # Whatever is wrong with one of them, before any is compiled for.
  places = [(target, _place(case, target, machines)) for target in machines]
  rows = []
  for target, mesh in places:
    if mesh is None:
      rows.append(forecast_table.summarise_misfit(FLAGS.config_variant, target))
      continue
    rehearsal = case.rehearse(mesh, target, is_every=_EVERY.value)
    forecast = forecast_lib.make_forecast(
      rehearsal,
      case.workload,
      case.dtype,
      target.chip,
      noise_operations=roofline.count_noise_operations(),
    )
    lines = forecast_table.describe(forecast, rehearsal, target)
    print("\n".join(lines), end="\n\n", flush=True)
    rows.append(
      forecast_table.summarise(
        FLAGS.config_variant, forecast, rehearsal, target
      )
    )
  header = forecast_table.SUMMARY_HEADER
  print("\n".join(forecast_table.write_markdown(header, rows)))


def _place(
  case: compiling.Case, target: targets.Target, machines: list[targets.Target]
) -> Mesh | None:
  """The mesh on a machine; None for one of several that is too small."""
  try:
    return case.place(target)
  except compiling.DoesNotFitError as error:
    if len(machines) == 1:
      raise
    print(f"{error}\n")
    return None


if __name__ == "__main__":
  launch.run(main, FLAGS)
