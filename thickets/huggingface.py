"""Asks the hub, with a deadline, and says what a refusal means."""

import threading
import warnings
from collections.abc import Callable
from typing import TypeVar, cast

from thickets.errors import UserError

T = TypeVar("T")

# Seconds until a hub that does not answer counts as unreachable.
DEADLINE_S = 10.0


def ask_hub(
  ask: Callable[[], T],
  name: str,
  revision: str | None,
  *,
  what: str = "model",
  local: str = "directory",
) -> T:
  """Calls `ask` and says what a refusal means.

  Args:
    ask: makes a request to the hub.
    name: the id of the model or data set that is asked for.
    revision: its branch, tag or commit, None for the main branch.
    what: what is asked for, `model` or `data set`.
    local: what a user could give in place of an id, such as `directory`.

  Raises:
    UserError: if the hub refuses or cannot be reached.
  """
  from huggingface_hub import constants, errors

  at = constants.ENDPOINT
  wanted = f"A {what} must be a {local} or the id of one on the hub, got"
  try:
    return ask()
  except UserError:
    raise
  except errors.GatedRepoError as error:
    raise UserError(
      f"{name!r} must be open to you, got a gated {what} on {at}. Accept its"
      f" terms there and set HF_TOKEN, or pass a {local}."
    ) from error
  except errors.RevisionNotFoundError as error:
    raise UserError(
      f"revision must be a branch, tag or commit of {name!r}, got"
      f" {revision!r}, which {at} does not have. Look it up there."
    ) from error
  except errors.RepositoryNotFoundError as error:
    raise UserError(
      f"{wanted} {name!r}: there is no such {local}, and {at} does not show"
      f" such a {what}. Correct the name; a private {what} needs HF_TOKEN."
    ) from error
  except errors.HFValidationError as error:
    raise UserError(f"{wanted} {name!r}: {error}") from error
  except Exception as error:  # Whatever its HTTP library raises.
    reason = " ".join(str(error).split()) or "no answer"
    raise UserError(
      f"The hub must be reachable to load {name!r}, got"
      f" {type(error).__name__} from {at}: {reason}. Pass a {local}, or set"
      f" HF_HUB_OFFLINE=1 if the {what} is in the cache; otherwise check the"
      " network, its proxy and HF_ENDPOINT."
    ) from error


def import_progress_bars() -> None:
  """Imports the progress bars that the hub's libraries use, without a warning.

  In a notebook without ipywidgets they are drawn as text, which is as good, but
  the first library that imports them would warn of it.
  """
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import tqdm.auto  # noqa: F401


def within(seconds: float, call: Callable[[], T]) -> T:
  """Calls in a thread, since the library's timeouts do not cover a name server.

  Args:
    seconds: how long to wait for the call.
    call: the call; it goes on in its thread when nobody waits for it any more.

  Raises:
    TimeoutError: if it takes longer.
  """
  outcome: list[tuple[T | None, Exception | None]] = []

  def run() -> None:
    try:
      outcome.append((call(), None))
    except Exception as error:  # Raised below, in the caller's thread.
      outcome.append((None, error))

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  thread.join(seconds)
  if not outcome:
    raise TimeoutError(f"no answer within {seconds:g} s")
  value, error = outcome[0]
  if error is not None:
    raise error
  return cast(T, value)
