"""All families of drills by name, in the order in which documents list them."""

from collections.abc import Mapping

from thickets.tasks.drills.arithmetic_exercises import ARITHMETIC
from thickets.tasks.drills.countdown_exercises import make_countdown
from thickets.tasks.drills.exercises import DrillFamily
from thickets.tasks.drills.list_exercises import LISTS

# A family's task is named with it, as in `drills/countdown3`.
TASK_PREFIX = "drills/"

DRILL_FAMILIES: Mapping[str, DrillFamily] = {
  "countdown3": make_countdown(3),
  "countdown4": make_countdown(4),
  **ARITHMETIC,
  **LISTS,
}
