"""The files of GQA on the hub: questions and pictures lie apart and are joined.

The files of pictures of the training set have 10 GB. Only one of them is fetched,
which the seed draws; it holds thousands of pictures, and questions about others are
left out. All files of other parts are fetched; that of testdev has 66 MB.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from thickets import huggingface
from thickets.errors import UserError
from thickets.tasks import pictures
from thickets.tasks.base import Row, Source
from thickets.tasks.drills.stable_random import StableRandom

REPOSITORY = "lmms-lab/GQA"
# The schema of the questions was changed in January 2024; this is after it.
REVISION = "a6e72d6e1b912da88af8b2f9eba05d5ea8ec2dd8"

_QUESTIONS, _PICTURES = "_instructions", "_images"


def join_pictures(
  source: Source, revision: str, rows: Sequence[Row], seed: int
) -> list[Row]:
  """Adds to questions their pictures, and leaves out those about other ones.

  Args:
    source: the questions on the hub.
    revision: the commit of their data set.
    rows: the questions, with `imageId`.
    seed: draws which file of pictures of the training set is fetched.

  Raises:
    UserError: if files cannot be fetched, or no question has its picture in them.
  """
  assert source.name is not None and source.name.endswith(_QUESTIONS)
  folder = source.name.removesuffix(_QUESTIONS) + _PICTURES
  names = list_files(source.path, revision, folder)
  if source.split == "train":
    names = [StableRandom(f"gqa/{seed}/pictures").choose(names)]
  files = [fetch_file(source.path, revision, name) for name in names]
  return join_files(rows, files)


def join_files(rows: Sequence[Row], files: Sequence[pathlib.Path]) -> list[Row]:
  """Adds to questions the cells of their pictures in parquet files.

  Args:
    rows: the questions, with `imageId`.
    files: files with the columns `id` and `image`.

  Returns:
    The questions whose pictures the files hold, with `image`, in their order.

  Raises:
    UserError: if a file has no such columns, or holds no picture of a question.
  """
  cells: dict[str, pictures.ParquetCell] = {}
  for file in files:
    cells |= pictures.index_parquet(file, key="id", column="image")
  joined: list[Row] = [
    {**row, "image": cells[str(row["imageId"])]}
    for row in rows
    if str(row["imageId"]) in cells
  ]
  if not joined:
    raise UserError(
      f"The pictures of GQA must be those of its questions, got none of"
      f" {len(rows)} questions in {[str(file) for file in files]}. Name another"
      " revision with task.revision, or files with task.train and task.test."
    )
  return joined


def list_files(repository: str, revision: str, folder: str) -> list[str]:
  """Returns the names of the parquet files in a folder of a data set, in order.

  Raises:
    UserError: if the hub cannot be reached, or there are none.
  """
  import huggingface_hub

  names = _ask(
    repository,
    revision,
    lambda: huggingface_hub.HfApi().list_repo_files(
      repository, revision=revision, repo_type="dataset"
    ),
  )
  found = sorted(
    name
    for name in names
    if name.startswith(f"{folder}/") and name.endswith(".parquet")
  )
  if not found:
    raise UserError(
      f"{repository} must have parquet files in {folder}, got none at revision"
      f" {revision}. Name another with task.revision."
    )
  return found


def fetch_file(repository: str, revision: str, name: str) -> pathlib.Path:
  """Fetches a file of a data set, unless it is in the cache.

  Raises:
    UserError: if the hub refuses or cannot be reached.
  """
  import huggingface_hub

  return pathlib.Path(
    _ask(
      repository,
      revision,
      functools.partial(
        huggingface_hub.hf_hub_download,
        repository,
        name,
        revision=revision,
        repo_type="dataset",
      ),
    )
  )


def _ask(repository: str, revision: str, ask: Any) -> Any:
  return huggingface.ask_hub(
    ask, repository, revision, what="data set", local="file"
  )
