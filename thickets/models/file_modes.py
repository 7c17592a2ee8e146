"""Who may read a file."""

import os
import pathlib


def open_to_readers(path: pathlib.Path) -> None:
  """Gives a file the mode that new files have.

  Some libraries, and temporary files, let only the owner read; a server may be
  another user.
  """
  umask = os.umask(0)
  os.umask(umask)
  path.chmod(0o666 & ~umask)
