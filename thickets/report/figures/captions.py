"""Captions of figures, which travel inside the picture.

Whoever draws a figure knows what it shows, and writes that into the PNG file; a
report reads it there. So a picture that is copied or renamed keeps its caption.
"""

import dataclasses
import enum

from thickets.runs.locations import Location


class Topic(enum.StrEnum):
  """The section of a report to which a figure belongs; its title there."""

  SUMMARY = "Summary"
  DENSITY = "Density"
  VOTES = "Votes and regimes"
  DIVERSITY = "Diversity"
  LANDSCAPE = "Landscape"


@dataclasses.dataclass(frozen=True)
class Caption:
  """What a figure shows.

  Attributes:
    topic: the section of a report to which the figure belongs.
    text: one or more full sentences.
  """

  topic: Topic
  text: str

  def to_metadata(self) -> dict[str, str]:
    """Returns the texts that a PNG file carries, by their keywords."""
    return {"Subject": self.topic.value, "Description": self.text}


def read_caption(path: Location) -> Caption | None:
  """Reads the caption of a figure.

  Args:
    path: the PNG file or object.

  Returns:
    The caption; None if the file has none, as figures of older versions or of
    other programs, or if it is no picture.
  """
  # Comes with matplotlib, and is needed only where a page is made.
  from PIL import Image

  try:
    with path.open("rb") as file, Image.open(file) as picture:
      metadata = dict(picture.info)
  except (OSError, SyntaxError, ValueError):  # What damaged files raise.
    return None
  topic, text = metadata.get("Subject"), metadata.get("Description")
  if topic not in {known.value for known in Topic} or not text:
    return None
  return Caption(Topic(topic), str(text))
