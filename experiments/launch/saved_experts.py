"""From an experts file back to the model and the members that it names."""

from collections.abc import Sequence

from absl import flags, logging

from experiments import launch
from thickets.errors import UserError
from thickets.generation import prompts
from thickets.generation.decoding import Decoding
from thickets.generation.pictures import PictureStore
from thickets.generation.prompts import Prompt
from thickets.generation.sampling import Sampling
from thickets.models import chat_templates, hub, transformer
from thickets.runs import clock, experts, locations
from thickets.runs.experts import Experts
from thickets.runs.json_files import JsonObject
from thickets.runs.locations import Location
from thickets.tasks.base import Example


def define_experts_flags(binary: launch.BinaryFlags) -> None:
  """Declares the flags from which `load_named` loads."""
  flags.DEFINE_string(
    "experts",
    None,
    "The experts.json of a run, a file or an s3:// or gs:// address.",
    flag_values=binary.values,
  )
  flags.DEFINE_string(
    "model",
    None,
    "Directory, GGUF file, hub id or package:... of the base, if it is not where"
    " the run had it.",
    flag_values=binary.values,
  )


def read_experts_flags(
  binary: launch.BinaryFlags,
) -> tuple[Location, str | None]:
  """The experts file that the flags name, and where the base is, None for where
  the run had it.

  Raises:
    UserError: if no file is named.
  """
  path = binary.values["experts"].value
  if not path:
    raise UserError("--experts must name the experts.json of a run, got none.")
  return locations.locate(path), binary.values["model"].value


def load_named(binary: launch.BinaryFlags) -> tuple[hub.Model, Experts]:
  """Loads what the flags name, and checks that it belongs together.

  JAX is configured as it was for the search, so that members and answers are
  the same.

  Raises:
    UserError: if a file is missing or wrong, or the base is another.
  """
  path, name = read_experts_flags(binary)
  launch.configure_jax()
  source = _read_source(path)
  revision = None if name else source["revision"]
  model = hub.load(
    name or source["name"], revision=revision, dtype=source["dtype"]
  )
  chosen = experts.load_experts(
    path,
    model.params,
    names=transformer.tensor_names(model.params),
    identity=model.identity,
  )
  return model, chosen


def read_decoding(fields: JsonObject) -> Decoding:
  """Reads back what `Decoding.describe` wrote."""
  num_tokens = fields["num_tokens"]
  return Decoding(
    max_new_tokens=fields["max_new_tokens"],
    sampling=Sampling(**fields["sampling"]),
    # Earlier versions wrote some that they never chose, and so never met.
    stop_tokens=tuple(
      token
      for token in fields["stop_tokens"]
      if num_tokens is None or token < num_tokens
    ),
    stop_strings=tuple(fields["stop_strings"]),
    num_tokens=num_tokens,
    missing_tokens=tuple(fields.get("missing_tokens", ())),
  )


def render_examples(
  model: hub.Model,
  task: JsonObject,
  examples: Sequence[Example],
  pictures: PictureStore | None = None,
) -> list[Prompt]:
  """Renders prompts as those of a run were, on the day that they said.

  Args:
    model: the base of the run.
    task: what its scores mean, from the experts file.
    examples: [Q] what is asked.
    pictures: where the pictures of a vision-language model are gathered; None for
      a text model.

  Returns:
    [Q] the prompts.

  Raises:
    UserError: if the template does not render one; it names the example.
  """
  owner = f"{model.source}, task {task['name']}"
  if task["chat_template"] and not chat_templates.has_template(model.tokenizer):
    raise UserError(
      f"{owner}: the tokenizer must have the chat template that rendered the"
      " prompts of the run, got one without. Name the model as it was published"
      " with --model."
    )
  recorded = prompts.read_chat(task)
  chat = prompts.settle_chat(
    model.tokenizer,
    examples,
    recorded,
    today=clock.today(),
    owner=owner,
    vision=model.vision,
  )
  if chat.says_date and chat.date and recorded.date is None:
    logging.warning(
      "the experts file does not say the day that its prompts said, since an"
      " earlier version wrote it; prompts say %s",
      chat.date,
    )
  return prompts.render_examples(
    model.tokenizer, examples, chat, owner=owner, pictures=pictures
  )


def _read_source(path: Location) -> JsonObject:
  fields = experts.read_fields(path)
  try:
    source = fields["base"]["source"]
    if "kind" in source:  # A model that draws.
      raise KeyError("kind")
    return {key: source[key] for key in ("name", "revision", "dtype")}
  except (KeyError, TypeError) as error:
    raise UserError(
      f"{path} does not say which language model it belongs to. It must be"
      " written by experiments.randopt."
    ) from error
