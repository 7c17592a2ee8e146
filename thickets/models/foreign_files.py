"""What a file is that is not what its name says: a pointer, a page, an empty file.

Such files are common where a repository was cloned without its large files, or
a page was downloaded in place of the file that it shows.
"""

import pathlib

from thickets.errors import UserError

_NUM_BYTES = 512  # That are looked at.

_FETCH = "Fetch the file itself"
_SIGNS = (  # How such files begin in lower case, what they are, the remedy.
  (
    b"version https://git-lfs",
    "a pointer of Git LFS",
    "Run `git lfs pull` in its directory, or download the file",
  ),
  (b"# xet version", "a pointer of Xet storage", _FETCH),
  (b"<!doctype", "a page of HTML", _FETCH),
  (b"<html", "a page of HTML", _FETCH),
  (b"<?xml", "an XML document", _FETCH),
  (b"\x1f\x8b", "an archive of gzip", "Unpack it"),
  (
    b"pk\x03\x04",
    "a zip archive, such as torch.save writes",
    "Save the model with transformers as safetensors",
  ),
  (
    b"\x80\x02",
    "a pickle, such as torch.save writes",
    "Save the model with transformers as safetensors",
  ),
  (b"gguf", "a GGUF file", "Let its name end in .gguf, and pass the file"),
  (
    b"\xef\xbb\xbf",
    "text that begins with a byte-order mark",
    "Save it as UTF-8 without the mark",
  ),
  (b"\xff\xfe", "text in UTF-16", "Save it as UTF-8"),
  (b"\xfe\xff", "text in UTF-16", "Save it as UTF-8"),
)


def explain(path: pathlib.Path, must_be: str, reason: object) -> UserError:
  """The error that says why a file cannot be read.

  Args:
    path: the file.
    must_be: what it must be, such as "JSON".
    reason: what the reader of such files says, for files that are not known.

  Returns:
    An error that names what the file is where that can be told.
  """
  if path.is_symlink() and not path.exists():
    return UserError(
      f"{path} must be {must_be}, got a link to {path.readlink()}, which does"
      " not exist. Fetch the file again."
    )
  if isinstance(reason, OSError):
    # Readers in other languages say of any file that they cannot open that there
    # is none.
    try:
      path.open("rb").close()
    except OSError as error:
      reason = error
    return UserError(
      f"{path} must be a file that can be read, got: {reason.strerror or reason}."
      " Check what it is, and its permissions."
    )
  got, remedy = recognise(path) or (reason, "Correct it, or fetch it again")
  return UserError(f"{path} must be {must_be}, got {got}. {remedy}.")


def recognise(path: pathlib.Path) -> tuple[str, str] | None:
  """What a file is that no reader of models reads, and the remedy.

  Returns:
    Words for both, None for a file that is not known to be foreign.
  """
  try:
    with path.open("rb") as opened:
      head = opened.read(_NUM_BYTES)
  except OSError:
    return None
  if not head:
    return "an empty file", "Fetch it again"
  if not any(head):
    return "a file of zeros, as a torn download leaves it", "Fetch it again"
  for sign, what, remedy in _SIGNS:
    if head.lstrip().lower().startswith(sign):
      return what, remedy
  return None
