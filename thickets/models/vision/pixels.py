"""From the bytes of a picture to the patches that a tower reads.

The steps are those of the published image processor of Qwen2-VL and its
successors, by Pillow and NumPy: resize to multiples of a token's side (bicubic, on
8-bit values), subtract the mean and divide by the standard deviation of each
channel, and cut into patches, of which those of one token follow each other.

How a picture is opened is ours: it is turned as its EXIF data say, what is
transparent lies on white, and 16-bit grey is scaled to 8 bits; what shows several
pictures, or none, is refused.
"""

import dataclasses
import io
import math

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from thickets.errors import UserError, describe_error
from thickets.models.vision.config import PixelSpec

# Formats whose readers are part of Pillow and start no other program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MAX_PIXELS = 89_478_485  # From where Pillow warns of decompression bombs.
_MAX_RATIO = (
  200  # The longer side over the shorter is at most so, as published.
)
_WHITE = (255, 255, 255, 255)
_REMEDY = "Save it anew as PNG or JPEG, or leave it out."


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
  """A picture as a tower reads it.

  Attributes:
    patches: [N, channels · frames · side · side] values of each patch, float32.
      Those of one token follow each other, in rows; tokens follow in rows, too.
    grid: how many patches the picture has along its height and its width.
    merge: side of the square of patches that become one token, in patches.
  """

  patches: Float[np.ndarray, "N P"]
  grid: tuple[int, int]
  merge: int

  @property
  def num_tokens(self) -> int:
    """How many tokens of the text the picture becomes."""
    return math.prod(self.grid) // self.merge**2

  @property
  def token_grid(self) -> tuple[int, int]:
    """How many tokens the picture has along its height and its width."""
    return self.grid[0] // self.merge, self.grid[1] // self.merge


def prepare(data: bytes, spec: PixelSpec, *, owner: str) -> Prepared:
  """Turns a picture into patches.

  Args:
    data: the bytes of its file.
    spec: the sizes of patches, and the bounds of the picture's size.
    owner: whose picture this is, such as a file or a row of a data set; errors
      begin with it.

  Raises:
    UserError: if it is no picture that can be read, or one that is not supported.
  """
  picture = open_picture(data, owner=owner)
  height, width = fit_size(picture.height, picture.width, spec, owner=owner)
  resized = picture.resize((width, height), Image.Resampling.BICUBIC)
  return cut_patches(np.asarray(resized), spec)


def find_grid(data: bytes, spec: PixelSpec, *, owner: str) -> tuple[int, int]:
  """How many patches `prepare` makes along a picture's height and width.

  The picture is opened and checked as `prepare` does, and not resized.

  Args:
    data: the bytes of its file.
    spec: the sizes of patches, and the bounds of the picture's size.
    owner: whose picture this is; errors begin with it.
  """
  picture = open_picture(data, owner=owner)
  height, width = fit_size(picture.height, picture.width, spec, owner=owner)
  return height // spec.patch, width // spec.patch


def fit_size(
  height: int, width: int, spec: PixelSpec, *, owner: str
) -> tuple[int, int]:
  """The size to which a picture is resized, in pixels, as it is published.

  Both sides are multiples of a token's side, and their product lies within the
  bounds; the ratio of the sides changes as little as that allows.

  Args:
    height: how many rows of pixels the picture has.
    width: how many pixels each row has.
    spec: the sizes of patches, and the bounds.
    owner: whose picture this is; errors begin with it.

  Raises:
    UserError: if the picture is of one pixel, or one side is more than 200 times
      the other.
  """
  if height * width < 2:
    raise UserError(
      f"{owner}: a picture must have at least two pixels, got {width} × {height}."
      f" {_REMEDY}"
    )
  if max(height, width) > _MAX_RATIO * min(height, width):
    raise UserError(
      f"{owner}: the longer side of a picture must be at most {_MAX_RATIO} times"
      f" the shorter, got {width} × {height}. Crop it, or leave it out."
    )
  factor = spec.factor
  # Python rounds halves to even, as published.
  rows, columns = round(height / factor), round(width / factor)
  if rows * columns * factor**2 > spec.max_pixels:
    shrink = math.sqrt(height * width / spec.max_pixels)
    rows = max(1, math.floor(height / shrink / factor))
    columns = max(1, math.floor(width / shrink / factor))
  elif rows * columns * factor**2 < spec.min_pixels:
    enlarge = math.sqrt(spec.min_pixels / (height * width))
    rows = math.ceil(height * enlarge / factor)
    columns = math.ceil(width * enlarge / factor)
  return rows * factor, columns * factor


def cut_patches(
  pixels: np.ndarray,  # [height, width, 3], 8-bit.
  spec: PixelSpec,
) -> Prepared:
  """Scales the values of a picture, and cuts it into patches.

  Args:
    pixels: [height, width, 3] values from 0 to 255; both sides are multiples of a
      token's side.
    spec: mean and standard deviation, and the sizes of patches.
  """
  height, width, channels = pixels.shape
  side, merge = spec.patch, spec.merge
  rows, columns = height // side, width // side
  values = pixels.astype(np.float32) * np.float32(1 / 255)
  mean, std = (np.array(each, np.float32) for each in (spec.mean, spec.std))
  values = (values - mean) / std
  # Rows and columns of tokens, of patches within one, of pixels within these.
  blocks = values.reshape(
    rows // merge, merge, side, columns // merge, merge, side, channels
  )
  patches = blocks.transpose(0, 3, 1, 4, 6, 2, 5)[:, :, :, :, :, None]
  shape = (*patches.shape[:5], spec.temporal, side, side)
  patches = np.broadcast_to(patches, shape).reshape(rows * columns, -1)
  return Prepared(patches, (rows, columns), merge)


def open_picture(data: bytes, *, owner: str) -> Image.Image:
  """Opens a picture as red, green and blue of 8 bits each.

  Args:
    data: the bytes of its file.
    owner: whose picture this is; errors begin with it.

  Raises:
    UserError: if the bytes are no picture, or one that is broken, has too many
      pixels, moves or has pages, or has values that are no colours.
  """
  if not data:
    raise UserError(f"{owner}: a picture must have bytes, got none. Fetch it.")
  Image.init()  # Else `formats` may only name what was opened before.
  try:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
      _check_size(opened.width, opened.height, owner)
      _check_single(opened, owner)
      picture = ImageOps.exif_transpose(opened)
      return _to_rgb(picture, owner)
  except UserError:
    raise
  except Image.DecompressionBombError as error:
    raise _too_large(str(error).rstrip("."), owner) from error
  except Image.UnidentifiedImageError as error:
    raise UserError(
      f"{owner}: a picture must be one of {', '.join(_FORMATS)}, got bytes that"
      f" begin with {data[:8]!r}. {_REMEDY}"
    ) from error
  except Exception as error:  # Decoders raise whatever a broken file leads to.
    raise UserError(
      f"{owner}: a picture must be whole, got one that cannot be decoded"
      f" ({describe_error(error)}). Fetch it again, or leave it out."
    ) from error


def _check_size(width: int, height: int, owner: str) -> None:
  if width * height > _MAX_PIXELS:
    raise _too_large(f"{width} × {height}", owner)


def _too_large(size: str, owner: str) -> UserError:
  return UserError(
    f"{owner}: a picture must have at most {_MAX_PIXELS:,} pixels, got {size}."
    " Shrink it, or leave it out."
  )


def _check_single(opened: Image.Image, owner: str) -> None:
  """Refuses files of several pictures, of which nobody says which is meant."""
  count = getattr(opened, "n_frames", 1)
  # An MPO is a photo, followed by smaller or stereo versions of it.
  if count > 1 and opened.format != "MPO":
    raise UserError(
      f"{owner}: a picture must be a single one, got {opened.format} of {count}"
      " frames or pages. Save the one that is meant as PNG."
    )


def _to_rgb(picture: Image.Image, owner: str) -> Image.Image:
  """A picture of any mode as RGB."""
  if picture.mode == "F":
    raise UserError(
      f"{owner}: a picture must have integer values, got floats. {_REMEDY}"
    )
  if picture.mode == "I" or picture.mode.startswith("I;16"):
    return _scale_down(picture, owner)
  if (
    "A" in picture.mode
    or "a" in picture.mode
    or "transparency" in (picture.info)
  ):
    layer = picture.convert("RGBA")
    ground = Image.new("RGBA", layer.size, _WHITE)
    return Image.alpha_composite(ground, layer).convert("RGB")
  return picture.convert("RGB")


def _scale_down(picture: Image.Image, owner: str) -> Image.Image:
  """Grey of 16 bits as RGB; Pillow alone would cut off all above 255."""
  values = np.asarray(picture).astype(np.int64)
  if values.min() < 0 or values.max() > 65535:
    raise UserError(
      f"{owner}: a grey picture must have at most 16 bits, got values from"
      f" {values.min()} to {values.max()}. {_REMEDY}"
    )
  grey = np.rint(values / 257).astype(np.uint8)
  return Image.fromarray(grey).convert("RGB")
