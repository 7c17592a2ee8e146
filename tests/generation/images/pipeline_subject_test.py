"""Tests of published pipelines as subjects, on a tiny one from its files."""

import contextlib
import dataclasses
import functools
import gc
import pathlib
import tempfile
import weakref
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import unoptimised
from absl.testing import parameterized
from golden import pipeline_files

from thickets import naming
from thickets.errors import UserError
from thickets.generation.images import pipeline_subject, pipelines, subjects
from thickets.generation.images.pipeline_subject import Asked, Drawing, Loading
from thickets.models.diffusion import opening, pipeline, scorer
from thickets.perturbation import Gaussian, describe_kind

_TARGETS = ("red", "cat", "th")
_PROMPTS = {"select": ("a dog", "the sun!"), "judge": ("a hat",)}


def _draw(
  size=(16, 24), *, spacing=None, guidance=2.0, negative="sad", at_once=None
):
  return Drawing(size, 2, spacing, guidance, negative, at_once)


def _compile(function):
  return jax.jit(function, compiler_options=unoptimised.OPTIONS)


def _ask(target="cat", targets=_TARGETS, prompts=_PROMPTS):
  return Asked(target, targets, prompts)


@contextlib.contextmanager
def _compiling_fast():
  """Within it, texts are read by programs that compile in little time."""
  with contextlib.ExitStack() as stack:
    for module, name in ((pipeline, "_read_text"), (scorer, "_embed_texts")):
      run = jax.jit(
        getattr(module, name).__wrapped__,
        static_argnums=0,
        compiler_options=unoptimised.OPTIONS,
      )
      stack.enter_context(mock.patch.object(module, name, run))
    yield


@contextlib.contextmanager
def _watching_texts(watched):
  """Collects weak references to the weights of all text towers that are loaded."""
  read, load = pipeline.read, scorer.load

  def read_and_watch(*args, **options):
    loaded = read(*args, **options)
    for text in loaded.texts:
      watched.extend(map(weakref.ref, jax.tree.leaves(text.params)))
    return loaded

  def load_and_watch(*args, **options):
    judge = load(*args, **options)
    texts = judge.params["text_model"]
    watched.extend(map(weakref.ref, jax.tree.leaves(texts)))
    return judge

  with (
    mock.patch.object(pipeline, "read", read_and_watch),
    mock.patch.object(scorer, "load", load_and_watch),
  ):
    yield


class PipelineSubjectTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    for name, write in (
      ("pipeline", pipeline_files.write),
      ("clip", pipeline_files.write_scorer),
    ):
      (root / name).mkdir()
      write(root / name)
    cls.loading = Loading(
      str(root / "pipeline"),
      *(None, None, "float32"),
      str(root / "clip"),
      *(None, "float32"),
    )
    cls.texts = []
    with _compiling_fast():
      with _watching_texts(cls.texts):
        cls.subject = pipeline_subject.load_subject(
          cls.loading, _draw(), _ask()
        )
      cls.batch = subjects.make_batch(cls.subject, "select", 2, seed=0)
      judge = scorer.load(cls.loading.scorer)
      cls.asked_for = judge.embed_texts(
        [*_TARGETS, *np.repeat(_PROMPTS["select"], 2)]
      )
      cls.look = staticmethod(_compile(judge.embed_pictures))
      del judge
    cls.judge = staticmethod(_compile(cls.subject.judge))

  def score(self, pictures):
    """The channels of judging, for pictures of the prompts of selection."""
    return jax.tree.map(
      np.asarray,
      self.subject.judge(
        self.subject.params, jnp.asarray(pictures), self.batch
      ),
    )

  def test_text_towers_are_let_go(self):
    gc.collect()
    self.assertGreater(len(self.texts), 50)
    self.assertEmpty([ref for ref in self.texts if ref() is not None])

  def test_members_differ_in_the_denoiser_alone(self):
    self.assertEqual(set(self.subject.params), {"unet", "vae", "clip"})
    described = describe_kind(
      self.subject.params, Gaussian(include=("unet.*",)), self.subject.names
    )
    size = sum(x.size for x in jax.tree.leaves(self.subject.params["unet"]))
    self.assertEqual(described["num_perturbed_weights"], size)

  def test_a_batch_has_prompts_first(self):
    self.assertEqual(
      {name: leaf.shape for name, leaf in naming.named_leaves(self.batch)},
      {
        "noise": (4, 4, 6, 4),
        "conditioning.context": (4, 20, 24),
        "conditioning.pooled": (4, 20),
        "conditioning.time_ids": (4, 6),
        "labels.text": (4, 10),
      },
    )
    np.testing.assert_array_equal(
      self.batch["conditioning"]["time_ids"][0], [16, 24, 0, 0, 16, 24]
    )

  def test_pictures_are_those_of_the_pipeline_drawn_one_by_one(self):
    draw = _compile(
      functools.partial(pipelines.draw_pictures, self.subject.pipeline)
    )
    drawn = draw(self.subject.params, self.batch)
    self.assertEqual(drawn.shape, (4, 16, 24, 3))
    self.assertGreater(np.std(drawn), 0.05)
    self.assertGreater(np.abs(drawn[0] - drawn[1]).max(), 0.1)

  def test_scores_are_cosines_of_pictures_in_8_bits(self):
    pictures = np.random.default_rng(0).uniform(size=(4, 16, 24, 3))
    rounded = (np.round(255 * pictures) / 255).astype(np.float32)
    vectors = self.look(self.subject.params["clip"], rounded)
    cosines = np.asarray(vectors) @ self.asked_for.T
    found = self.score(pictures.astype(np.float32))
    # A value that is rounded the other way, in another program, changes 1e-4.
    np.testing.assert_allclose(found["targets"], cosines[:, :3], atol=5e-4)
    np.testing.assert_array_equal(
      found["targets"], self.score(rounded)["targets"]
    )
    np.testing.assert_array_equal(found["score"], found["targets"][:, 1])
    own = cosines[np.arange(4), 3 + np.arange(4)]
    np.testing.assert_allclose(found["fidelity"], own, atol=5e-4)
    self.assertEqual(found["embedding"].dtype, np.float16)
    again = found["embedding"].astype(np.float32) @ self.asked_for[:3].T
    np.testing.assert_allclose(again, cosines[:, :3], atol=2e-3)
    np.testing.assert_array_equal(
      found["picture"], np.round(255 * pictures).astype(np.uint8)
    )
    self.assertTrue(found["is_finite"].all())

  def test_a_tint_is_the_mean_colour(self):
    grey = self.score(np.full((4, 16, 24, 3), 0.5, np.float32))["tint"]
    np.testing.assert_allclose(grey[:, 1:], 0, atol=0.1)
    red = self.score(np.tile(np.float32([1, 0, 0]), (4, 16, 24, 1)))["tint"]
    np.testing.assert_allclose(red[0], [53.2, 80.1, 67.2], atol=0.5)

  def test_pictures_that_are_not_finite_have_no_score(self):
    pictures = np.full((4, 28, 42, 3), 0.5, np.float32)
    pictures[1, 0, 0, 0] = np.nan  # In what is cut off for CLIP.
    found = self.score(pictures)
    is_broken = [False, True, False, False]
    np.testing.assert_array_equal(found["is_finite"], np.logical_not(is_broken))
    for name in ("score", "fidelity"):
      np.testing.assert_array_equal(np.isnan(found[name]), is_broken)
    np.testing.assert_array_equal(
      np.isnan(found["targets"]).all(axis=1), is_broken
    )

  @parameterized.parameters(
    (_draw((18, 24)), _ask(), "height must be .* multiple of 4"),
    (
      _draw(negative="cat " * 19),
      _ask(),
      "model.negative must have at most 18",
    ),
    (
      _draw(),
      _ask(targets=("cat", "cat " * 19)),
      "task.targets must have at most 18 tokens.*'cat' would be ignored",
    ),
    (
      _draw(),
      _ask(prompts={"select": ("red " * 20,)}),
      "The prompts of task must have at most 18 tokens",
    ),
    (_draw(spacing="uneven"), _ask(), "timestep_spacing must be one of"),
  )
  def test_refusals_come_before_weights_are_read(self, drawing, asked, message):
    never = AssertionError("weights were read")
    with (
      mock.patch.object(pipeline, "read", side_effect=never),
      self.assertRaisesRegex(UserError, message),
    ):
      pipeline_subject.load_subject(self.loading, drawing, asked)

  def test_parts_are_held_in_the_dtypes_that_are_asked_for(self):
    loading = dataclasses.replace(
      self.loading, dtype="bfloat16", scorer_dtype="float16"
    )
    stop = RuntimeError("after the weights of CLIP")
    with (
      mock.patch.object(pipeline, "read", side_effect=stop) as read,
      mock.patch.object(scorer, "load", wraps=scorer.load) as load,
      self.assertRaises(RuntimeError),
    ):
      pipeline_subject.load_subject(loading, _draw(), _ask())
    self.assertEqual(read.call_args.kwargs["dtype"], "bfloat16")
    self.assertEqual(load.call_args.kwargs["dtype"], "float16")

  def test_what_judges_changes_with_each_of_the_texts(self):
    random = np.random.default_rng(0)
    targets, context = random.standard_normal((2, 3, 5)).astype(np.float32)
    described = [
      pipeline_subject._describe_judging(
        self.loading, _draw(), negative, vectors
      )["texts"]
      for vectors, negative in (
        (targets, None),
        (-targets, None),
        (targets, {"context": context}),
        (targets, {"context": -context}),
      )
    ]
    self.assertLen(set(map(repr, described)), 4)

  def test_how_a_device_is_filled_is_no_part_of_what_judges(self):
    targets = np.zeros((3, 5), np.float32)
    one, other = (
      pipeline_subject._describe_judging(self.loading, drawing, None, targets)
      for drawing in (_draw(), _draw(at_once=2))
    )
    self.assertEqual(one, other)
    self.assertEqual(one["pictures"]["num_steps"], 2)

  @parameterized.parameters(
    (_draw(guidance=0.0, negative=None), _ask(), "spaced as leading"),
    (
      _draw(),
      _ask(targets=("Cat",), target="Cat", prompts={"judge": ("THE CAT",)}),
      "1 prompts of judge name the target 'Cat'",
    ),
    (
      _draw(),
      _ask(prompts={"judge": ("a red. hat", "tired")}),
      "1 prompts of judge name the target 'red'",
    ),
  )
  def test_warnings(self, drawing, asked, message):
    stop = RuntimeError("after the warnings")
    with (
      mock.patch.object(pipeline, "read", side_effect=stop),
      self.assertRaises(RuntimeError),
      self.assertLogs(level="WARNING") as logs,
    ):
      pipeline_subject.load_subject(self.loading, drawing, asked)
    self.assertRegex("\n".join(logs.output), message)

  @parameterized.parameters(None, "", "sad")
  def test_the_negative_prompt_is_the_one_asked_for(self, negative):
    stop = RuntimeError("after the negative prompt")
    with (
      mock.patch.object(
        pipeline.Pipeline, "encode_negative", side_effect=stop
      ) as encode,
      self.assertRaises(RuntimeError),
    ):
      pipeline_subject.load_subject(
        self.loading, _draw(negative=negative), _ask()
      )
    self.assertEqual(encode.call_args.args[0], negative)

  def test_the_schedule_is_spaced_as_asked(self):
    self.assertEqual(self.subject.pipeline.schedule.timesteps[0], 501)
    opened = opening.open_pipeline(self.loading.name)
    made = pipeline_subject._make_schedule(opened, _draw(spacing="trailing"))
    self.assertEqual(made.timesteps[0], 999)

  def test_what_is_recorded_of_the_loading_is_read_back(self):
    source = self.subject.source
    self.assertEqual(source["kind"], pipeline_subject.KIND)
    self.assertEqual(pipeline_subject.read_loading(source), self.loading)
