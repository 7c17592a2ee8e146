"""Which day the prompts of a run say, where a chat template prints one.

A run keeps the day on which it was begun, so that it can be continued after
midnight, and `experiments.predict` asks as the run did.
"""

import datetime

from thickets.generation import prompts
from thickets.runs import clock, directory, processes
from thickets.runs.json_files import JsonObject

_UNKNOWN = 0  # No day has this number.


def find_today(workdir: str) -> datetime.date | None:
  """The day of a run: that which its log says, or today for a new run.

  All processes get what the first finds, on whichever side of midnight they are.

  Returns:
    The day; None for a run whose log says none, since an earlier version began it
    or its prompts do not depend on the day.
  """
  header = None if directory.is_new(workdir) else directory.read_header(workdir)
  found = clock.today() if header is None else _read_date(header)
  number = _UNKNOWN if found is None else found.toordinal()
  number = processes.share("today", number)
  return None if number == _UNKNOWN else datetime.date.fromordinal(number)


def _read_date(header: JsonObject) -> datetime.date | None:
  """The day in the header of a run on one task or on several."""
  task = header.get("task", {})
  tasks = [task, *task.get("tasks", {}).values()]
  dates = (
    prompts.read_chat(fields).date for fields in tasks if "chat" in fields
  )
  return next(filter(None, dates), None)
