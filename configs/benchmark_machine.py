"""What a machine does with members of published shapes, stage by stage.

Command   python3 bootstrap.py benchmark
          on a machine with nothing but Python and, where it has GPUs, their
          driver; that is .venv/bin/python -m experiments.benchmark_machine \
            --config=configs/benchmark_machine.py --workdir=runs/machine
Variants  qwen2_5 (the default): 0.5B and 3B in bfloat16, for one accelerator
          cpu: tiny, small and medium in float32, each beside transformers in
          the same process, for two cores
          smoke: shows that it runs
Hardware  an accelerator of 40 GB; no data, no download of weights
Time      each stage is ended after its `bound_s`, and the next one begins. The
          same command makes up for what is missing. cpu took 2 min 40 s on two
          quiet cores; the variant for accelerators was not timed as a whole yet
Result    the figures of each stage in its folder of the workdir, and its row in
          docs/benchmarks.md
"""

import ml_collections

# The shapes, the cheapest first, and how many seconds each stage may take.
_VARIANTS = {
  "qwen2_5": {
    "shapes": ("qwen2_5_0_5b", "qwen2_5_3b"),
    "bound_s": {
      "stacked": (150, 240),
      "transformers": (150, 240),
      "apart": (240, 420),
      "foretold": (300, 600),
    },
  },
  "cpu": {
    "shapes": ("tiny", "small", "medium"),
    "bound_s": {"beside": (300, 600, 900)},
  },
  "smoke": {
    "shapes": ("smoke",),
    "bound_s": {"stacked": (300,), "apart": (300,)},
  },
}


def get_config(variant: str = "qwen2_5") -> ml_collections.ConfigDict:
  """Returns the config of one list of stages."""
  if variant not in _VARIANTS:
    raise ValueError(
      f"variant must be one of {sorted(_VARIANTS)}, got {variant!r}."
    )
  config = ml_collections.ConfigDict()
  # Variants of configs/benchmark_language.py.
  config.shapes = _VARIANTS[variant]["shapes"]
  # The stages of each shape, and the most seconds of each, in the order of the
  # shapes; () leaves a stage out.
  #   stacked, apart  members, with layers that are scanned or compiled one by one
  #   transformers    the same prompts through its generate, alone on the machine
  #   foretold        what experiments.compile says of both, without the device,
  #                   behind all others
  #   beside          both in turns in one process, for machines that others use
  config.bound_s = ml_collections.ConfigDict(
    dict.fromkeys(
      ("stacked", "transformers", "apart", "foretold", "beside"), ()
    )
    | _VARIANTS[variant]["bound_s"]
  )
  config.repeats = 5 if variant == "cpu" else 2  # The fastest counts.
  # What the compiler calls the machine, as h100:1; "" finds it for GPUs that it
  # knows, by what was measured.
  config.target = ""
  # A page whose table gets a row for each stage; "" for none.
  config.table = ""
  return config.lock()
