"""The flags that say which other processes a binary joins."""

import dataclasses

from absl import flags


@dataclasses.dataclass(frozen=True)
class Cluster:
  """The processes that a process joins.

  Attributes:
    coordinator: HOST:PORT of process 0; None where the cluster says it.
    num_processes: how many there are; None where the cluster says it.
    process_id: the number of this one; None where the cluster says it.
    lost_after_s: seconds without a sign of life after which one is lost.
  """

  coordinator: str | None
  num_processes: int | None
  process_id: int | None
  lost_after_s: float


def define(values: flags.FlagValues) -> tuple[flags.FlagHolder, ...]:
  """Declares --distributed, and a flag for each field of `Cluster`, in order.

  Args:
    values: where they are declared.
  """
  return (
    flags.DEFINE_bool(
      "distributed",
      False,
      "Join the other processes of a pod or cluster; failing to join is an"
      " error.",
      flag_values=values,
    ),
    flags.DEFINE_string(
      "coordinator",
      None,
      "host:port of process 0, where the cluster does not say it.",
      flag_values=values,
    ),
    flags.DEFINE_integer(
      "num_processes",
      None,
      "The number of processes, where the cluster does not say it.",
      flag_values=values,
    ),
    flags.DEFINE_integer(
      "process_id",
      None,
      "The number of this process, where the cluster does not say it.",
      flag_values=values,
    ),
    flags.DEFINE_float(
      "lost_after_s",
      60.0,
      "Seconds without a sign of life after which a process is lost, which"
      " ends the others.",
      lower_bound=5.0,
      flag_values=values,
    ),
  )
