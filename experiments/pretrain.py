"""Pretrains a small language model on drills, and saves it for `hub.load`.

    python -m experiments.pretrain --config=configs/pretrain.py --workdir=DIR

The same command continues a training that was stopped, and ends with the same
weights. The directory then holds `model`, `results.json`, and in `metrics` what
TensorBoard shows.
"""

import functools
import pathlib
import shutil
from typing import Any

import jax
import ml_collections
import tensorboardX

from configs import pretrain as reference
from experiments import launch
from thickets.errors import UserError
from thickets.models import byte_tokenizer, hub
from thickets.models.config import ACTIVATIONS, parse_config
from thickets.runs import directory as directory_lib
from thickets.runs import environment
from thickets.tasks.drills.families import DRILL_FAMILIES
from thickets.training import corpora, train
from thickets.training.drill_accuracy import NUM_DEV, make_accuracy

MANNERS = ("several", "one")


def main(_) -> None:
  """Reads the flags, trains, and says what came of it."""
  with launch.ending_well():
    config = launch.read_config()
    validate(config)
    launch.start_devices()
    results = run(config, launch.WORKDIR.value)
    for family, found in results["dev"].items():
      low, high = found["interval"]
      print(
        f"{family:15s} {found['accuracy']:6.1%} [{low:.1%}, {high:.1%}] of"
        f" {found['n']} held-out exercises"
      )
    print(f"The model is in {launch.WORKDIR.value}/model.")


def validate(config: ml_collections.ConfigDict) -> None:
  """Raises one UserError with everything wrong, before any device work."""
  launch.refuse(launch.check_keys(config, reference.get_config()))
  counts = (
    *(f"model.{name}" for name in config.model if name != "activation"),
    *(f"schedule.{name}" for name in config.schedule if name != "stages"),
    *("corpus.rows", "corpus.length", "dev.every"),
  )
  frequencies = (
    *(f"corpus.families.{name}" for name in config.corpus.families),
    *(f"corpus.countdown.{name}" for name in config.corpus.countdown),
  )
  launch.refuse(
    [
      *launch.check_ranges(
        config,
        {
          "seed": (0, 2**32 - 1),
          "corpus.question_weight": (0, None),
          "optimizer.learning_rate": (0, None),
          "optimizer.warmup": (0, config.schedule.num_steps - 1),
          "optimizer.weight_decay": (0, None),
          "dev.num_prompts": (1, NUM_DEV),
          "schedule.stages": (0, config.schedule.num_steps),
          **dict.fromkeys(counts, (1, None)),
          **dict.fromkeys(frequencies, (0, None)),
        },
      ),
      *launch.check_choices(
        config,
        {"model.activation": ACTIVATIONS, "corpus.manners": MANNERS},
      ),
    ]
  )
  launch.refuse(_check_model(config))


def _check_model(config) -> list[str]:
  """What the model and the corpus themselves refuse."""
  problems = []
  tokenizer = byte_tokenizer.make_tokenizer()
  fields = _model_fields(config.model, tokenizer)
  for make in (
    functools.partial(parse_config, fields),
    functools.partial(_mixture, config.corpus),
  ):
    try:
      make()
    except UserError as error:
      problems.append(str(error))
  return problems


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Trains, or continues to; returns the contents of results.json."""
  if jax.process_count() > 1:
    raise UserError(
      f"Pretraining must be one process, got {jax.process_count()}. Leave out"
      " --distributed."
    )
  clock = launch.Clock()
  folder = directory_lib.make_workdir(workdir)
  content = launch.to_json(config)
  directory_lib.check_config(folder, content)
  directory_lib.write_json(
    folder / "config.json",
    {"config": content, "environment": environment.describe()},
  )
  tokenizer = byte_tokenizer.make_tokenizer()
  model = hub.make_model(
    _model_fields(config.model, tokenizer),
    jax.random.key(config.seed),
    tokenizer=tokenizer,
  )
  texts = make_corpus(config, tokenizer, seed=config.seed)
  optimizer, rate = train.make_optimizer(
    peak=config.optimizer.learning_rate,
    num_steps=config.schedule.num_steps,
    warmup=config.optimizer.warmup,
    weight_decay=config.optimizer.weight_decay,
  )
  shown = [name for name, often in config.corpus.families.items() if often]
  measure = make_accuracy(
    model.config, tokenizer, shown, config.dev.num_prompts
  )
  save_stage = functools.partial(_save_stage, config, folder, model)
  save_stage(0, model.params)
  with tensorboardX.SummaryWriter(str(folder / "metrics")) as writer:

    def report(step, metrics, params):
      save_stage(step, params)
      _report(config, writer, rate, measure, step, metrics, params)

    params = train.train(
      model.params,
      train.make_loss(model.config),
      texts.batch,
      optimizer,
      train.Schedule(
        **{**config.schedule, "stages": tuple(config.schedule.stages)}
      ),
      directory=folder / "checkpoints",
      report=report,
    )
  clock.lap("training_s")
  _save_model(folder / "model", model, params)
  results = {"dev": measure(params)}
  directory_lib.write_json(
    folder / "results.json", results | {"timing": clock.timing}
  )
  return results


def _report(config, writer, rate, measure, step, metrics, params) -> None:
  """Writes the metrics of a step for TensorBoard."""
  tokens = config.corpus.rows * config.corpus.length
  writer.add_scalar("loss", metrics["loss"], step)
  writer.add_scalar("learning_rate", float(rate(step - 1)), step)
  writer.add_scalar("tokens_per_s", metrics["steps_per_s"] * tokens, step)
  is_last = step == config.schedule.num_steps
  if is_last or step % config.dev.every == 0:
    for family, found in measure(params).items():
      writer.add_scalar(f"dev_accuracy/{family}", found["accuracy"], step)
  writer.flush()


def _save_stage(config, folder, model, step, params) -> None:
  """Saves the model after a step that the config names."""
  if step in config.schedule.stages:
    _save_model(name_stage(folder, step), model, params)


def name_stage(workdir: str | pathlib.Path, step: int) -> pathlib.Path:
  """Where the model after a step of `schedule.stages` is."""
  return pathlib.Path(workdir) / "stages" / f"{step:06d}"


def make_corpus(
  config: ml_collections.ConfigDict, tokenizer: Any, *, seed: int
) -> corpora.Corpus:
  """The text of a config; another seed draws other exercises."""
  return corpora.Corpus(
    tokenizer,
    _mixture(config.corpus),
    seed=seed,
    rows=config.corpus.rows,
    length=config.corpus.length,
    question_weight=config.corpus.question_weight,
  )


def _mixture(settings) -> corpora.Mixture:
  """All countdowns are answered in the manners of the config."""
  if settings.manners == "one":
    # The first of each family is the answer and nothing else.
    manners = {
      name: {next(iter(DRILL_FAMILIES[name].manners)): 1}
      for name in settings.families
      if name in DRILL_FAMILIES
    }
    return corpora.Mixture(dict(settings.families), manners)
  manners = dict(settings.countdown)
  return corpora.Mixture(
    dict(settings.families),
    {
      name: manners
      for name in settings.families
      if name.startswith("countdown")
    },
  )


def _model_fields(settings, tokenizer) -> dict[str, Any]:
  """The contents of config.json."""
  return {
    "model_type": "llama",
    "vocab_size": len(tokenizer),
    "hidden_size": settings.width,
    "intermediate_size": settings.mlp_width,
    "num_hidden_layers": settings.num_layers,
    "num_attention_heads": settings.num_heads,
    "num_key_value_heads": settings.num_kv_heads,
    "max_position_embeddings": settings.context,
    "hidden_act": settings.activation,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
    "tie_word_embeddings": True,
    "bos_token_id": tokenizer.bos_token_id,
    "eos_token_id": tokenizer.eos_token_id,
    "pad_token_id": tokenizer.pad_token_id,
  }


def _save_model(directory: pathlib.Path, model, params) -> None:
  """Saves the model whole, in place of what an earlier run left there."""
  directory.parent.mkdir(exist_ok=True)
  partial = directory.with_name(f"{directory.name}.partial")
  for path in (partial, directory):
    shutil.rmtree(path, ignore_errors=True)
  hub.save(partial, model, params=params)
  partial.rename(directory)


if __name__ == "__main__":
  launch.run(main)
