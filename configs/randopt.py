"""RandOpt of hub models on the seven tasks of the paper, composed.

Command   python -m experiments.randopt --workdir=DIR \
            --config=configs/randopt.py:MODEL-TASK[-small|-smoke]
          MODEL is qwen2_5_0_5b, qwen2_5_1_5b, qwen2_5_3b, qwen2_5_7b or olmo3_7b,
          TASK is countdown, gsm8k, math500, mbpp, olympiadbench, rocstories or
          uspto50k, as in configs/randopt.py:qwen2_5_3b-gsm8k-small.
          countdown has no data set on the hub: add --config.task.train=FILE
          (its module says where the file is published).
Hardware  accelerators; bfloat16 weights of the 7B models take 15 GB, and as
          much again per member under way
Time      not measured. Responses to generate are N x 200 to select, three times
          K x the size of judge (chosen and random members, samples of the base),
          and three times K x the size of dev (temperatures);
          `python -m experiments.benchmark` with configs/benchmark_language.py
          measures how many members a machine answers for in an hour. -small is
          N=100, K=25. -smoke is N=4, K=2 with the model that ships in the
          package: it tries data, prompts and grading within a minute on a
          laptop, not abilities (with --config.task.train=FILE without the hub)
Result    published: accuracy in % at N=5000, K=50 (the paper, arXiv:2603.12228,
          Table 4, under the authors' rules), as base → vote, where known:

                    countdown  gsm8k      math500    mbpp       olympiad.  rocst.     uspto50k
          Qwen 0.5B   ? →  8.4 39.9 → 54.1          (one source says 61.2)
          Qwen 1.5B              58.8 → 76.4 43.2 → 59.7
          Qwen 3B   10.0 → 58.4 79.8 → 87.1 58.6 → 68.7 69.5 → 75.9 24.5 → 39.2 54.7 → 56.5 38.5 → 42.3
          OLMo 7B   64.8 → 85.0 82.9 → 89.5

          others' replication at N=100, K=25 with corrected metrics, vote:

          Qwen 0.5B        7.7       53.4       38.7       26.7       14.4   0.8 exact  10.0 balanced
          Qwen 1.5B       35.7       68.4       58.3       49.5       28.6   6.9 exact  11.3 balanced
          Qwen 3B         49.5       86.1       68.3       60.1       41.9  14.2 exact  13.0 balanced
          OLMo 7B         86.1       89.2

          No run of these configs has been made yet. To compare with the
          published numbers, add --config.task.rules=paper.

Without a variant this is the list of all keys, which other configs build on.
"""

import ml_collections

MODELS = {
  "qwen2_5_0_5b": "Qwen/Qwen2.5-0.5B-Instruct",
  "qwen2_5_1_5b": "Qwen/Qwen2.5-1.5B-Instruct",
  "qwen2_5_3b": "Qwen/Qwen2.5-3B-Instruct",
  "qwen2_5_7b": "Qwen/Qwen2.5-7B-Instruct",
  "olmo3_7b": "allenai/Olmo-3-7B-Instruct",
}
# Prompts of dev by task: as many as of select, unless the data set is small.
DEV_SIZES = {
  "countdown": 200,
  "gsm8k": 200,
  "math500": 50,
  "mbpp": 100,
  "olympiadbench": 100,
  "rocstories": 200,
  "uspto50k": 200,
}
RUN_SIZES = ("", "small", "smoke")


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """Returns `MODEL-TASK`, `MODEL-TASK-small` or `-smoke`; all keys for none."""
  config = _list_keys()
  if variant:
    model, task, size = (*variant.split("-", 2), "", "")[:3]
    for what, word, known in (
      ("MODEL", model, MODELS),
      ("TASK", task, DEV_SIZES),
      ("size", size, RUN_SIZES),
    ):
      if word not in known:
        raise ValueError(
          f"variant must be MODEL-TASK, MODEL-TASK-small or MODEL-TASK-smoke,"
          f" got {variant!r}, whose {what} {word!r} is none of"
          f" {', '.join(filter(None, known))}."
        )
    _set_paper(config, model, task)
    if size == "small":
      config.population.size = 100
      config.ensemble.top_k, config.ensemble.also = 25, (1, 5, 10)
    elif size == "smoke":
      _set_smoke(config)
  return config.lock()


def _list_keys() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()
  config.experiment = "randopt"
  # Root of every random choice: population, samples, generated prompts.
  config.seed = 0

  config.model = ml_collections.ConfigDict()
  # A directory, a GGUF file, an id on the hub, package:... for one that another
  # package ships (docs/language_models.md), or shipped/... for one of this package.
  config.model.name = "shipped/drills"
  config.model.revision = ""  # Branch, tag or commit on the hub.
  config.model.dtype = "float32"  # That weights are held in, or bfloat16.

  config.task = ml_collections.ConfigDict()
  config.task.name = "drills/countdown3"  # Or a Python file that defines TASK.
  config.task.rules = "standard"  # Or paper: the authors', to compare with.
  config.task.train = (
    ""  # File of select and dev; the task's own data if empty.
  )
  config.task.test = ""  # File of judge; the task's own, or the rest of train.
  config.task.revision = ""  # Of the task's data set on the hub.
  config.task.num_select = 200  # Prompts that choose members, ...
  config.task.num_dev = 200  # ... that choose the temperature, ...
  config.task.num_judge = 0  # ... and that are looked at once; 0 is all others.
  # Prompts are plain text where the tokenizer has no chat template.
  config.task.use_chat_template = True
  # What the chat template reads, as in {"enable_thinking": False}.
  config.task.chat_arguments = ml_collections.ConfigDict()
  # The day that some templates print, as 2026-01-31; that of its start if empty.
  config.task.chat_date = ""

  config.population = ml_collections.ConfigDict()
  config.population.size = 5000  # N. A finished run continues with a larger N.
  config.population.sigmas = (5e-4, 1e-3, 2e-3)  # In the weights' own units.
  config.population.design = "independent"  # Or "balanced": equal counts.
  config.population.include = ("*",)  # Patterns of tensors to perturb, ...
  config.population.exclude = ()  # ... and of those to leave.
  config.population.chunk = 0  # Members to a chunk; 0 finds it from memory.

  config.ensemble = ml_collections.ConfigDict()
  config.ensemble.top_k = 50  # The K that is reported, chosen beforehand.
  config.ensemble.also = (1, 5, 10, 20)  # Others, for table and curve.

  config.decoding = ml_collections.ConfigDict()
  config.decoding.max_new_tokens = 0  # 0 takes the task's limit.

  # K samples of the base vote, at the same cost at test time.
  config.consistency = ml_collections.ConfigDict()
  config.consistency.temperatures = (0.5, 0.7, 1.0)  # dev chooses; () for none.
  config.consistency.top_k = 0  # Most likely tokens to sample from; 0 is all.
  config.consistency.top_p = 1.0  # Or those that reach this share together.

  config.compute = ml_collections.ConfigDict()
  config.compute.devices_per_member = 1  # Devices that share its weights.
  config.compute.lanes = 0  # Members at once on each; 0 finds it from memory.
  config.compute.rows = 0  # Prompts at once of each; 0 finds it from memory.
  # Layers while decoding: compiled one by one (apart), which takes longer to compile
  # and may decode faster, or once for all (stacked); auto decides by the platform, their size and number.
  config.compute.layers = "auto"
  # Processes that grade; 0 is a thread, or one process for a task of your own.
  config.compute.num_workers = 0
  # Seconds that one response may be graded; the run ends where one takes longer.
  config.compute.grade_limit_s = 900.0
  # Where features of pictures are kept for later runs; "" for memory alone.
  config.compute.features_dir = ""

  # Logged responses can be graded again by changed rules, without a model.
  config.log_responses = True
  return config


def _set_paper(config, model: str, task: str) -> None:
  config.model.name = MODELS[model]
  config.model.dtype = "bfloat16"
  config.task.name = task
  config.task.num_dev = DEV_SIZES[task]
  config.compute.num_workers = 8


def _set_smoke(config) -> None:
  config.model.name = "shipped/drills"
  config.model.dtype = "float32"
  config.task.num_select, config.task.num_dev = 4, 4
  config.task.num_judge = 8
  config.population.size = 4
  config.population.sigmas = (3e-3,)
  config.ensemble.top_k, config.ensemble.also = 2, (1,)
  config.decoding.max_new_tokens = 16
  config.compute.num_workers = 2
