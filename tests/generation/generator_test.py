"""Tests of generation: a naive loop over whole texts says what must come out.

The rule of all comparisons: a row's tokens are the oracle's, except where the
oracle's two best logits lie closer than `TOLERANCE`; behind such a place the
row is not compared. Programs are shared by the tests, for they take a second
each to compile.
"""

import dataclasses
import functools
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unoptimised
from absl.testing import parameterized
from golden import transformer_cases as cases

from thickets.errors import UserError
from thickets.generation import decode_step
from thickets.generation import generator as generator_lib
from thickets.generation import programs as programs_lib
from thickets.generation import texts as texts_lib
from thickets.generation.batching import Batching
from thickets.generation.decode_step import DecodeSpec
from thickets.generation.decoding import Decoding
from thickets.generation.generator import Generator
from thickets.generation.rows import Prompts, Reading
from thickets.generation.sampling import GREEDY, RowSampling, Sampling
from thickets.members import Member
from thickets.models import families, transformer
from thickets.models import layout as layout_lib
from thickets.models.layout import Layout
from thickets.perturbation import perturb
from thickets.search import meshes

TOLERANCE = 1e-4
VOCAB = 96
TEXT = 64  # The oracle's texts are filled up to so many tokens.
_SEVERAL_KINDS = ("olmo3", "smollm3", "gemma3")  # Of layers, in turn.
ROW_FRACTIONS = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)


def make_model(name, **changes):
  """(config, params) of a family; weights so large that tokens vary."""
  fields = cases.CASES[name] | {"vocab_size": VOCAB} | changes
  params = jax.tree.map(jnp.asarray, cases.make_params(fields))
  return families.parse_config(fields), params


@functools.cache
def _model(name="qwen3"):
  """(config, params, logits [Q, TEXT, V] of texts and params)."""
  # Two layers, which compile faster than three, where no windows alternate.
  changes = {} if name in _SEVERAL_KINDS else {"num_hidden_layers": 2}
  changes = {"n_layer": 2} if name == "gpt2" else changes
  config, params = make_model(name, **changes)
  apply = jax.jit(
    functools.partial(transformer.apply, config),
    compiler_options=unoptimised.OPTIONS,
  )
  return config, params, apply


def make_prompts(lengths, *, prefix=0, seed=0):
  rng = np.random.default_rng(seed)
  shared = rng.integers(0, VOCAB, prefix).tolist()
  return [shared + rng.integers(0, VOCAB, n).tolist() for n in lengths]


@dataclasses.dataclass
class Expected:
  """What a naive loop generates: tokens, log-probabilities, gaps [Q, T]."""

  tokens: np.ndarray
  log_probs: np.ndarray
  gaps: np.ndarray


def expect(apply, params, prompts, num_steps, num_tokens=VOCAB) -> Expected:
  """Reads every text anew, as a whole, for each of its greedy tokens."""
  texts = np.zeros((-(-len(prompts) // 8) * 8, TEXT), np.int32)
  for text, prompt in zip(texts, prompts, strict=False):
    text[: len(prompt)] = prompt
  rows = np.arange(len(prompts))
  ends = np.array([len(prompt) for prompt in prompts])
  steps = []
  for step in range(num_steps):
    logits = np.asarray(apply(params, texts), np.float64)
    logits = logits[rows, ends + step - 1, :num_tokens]
    tokens, best = logits.argmax(axis=1), np.sort(logits, axis=1)
    log_probs = best[:, -1] - np.log(np.exp(logits).sum(axis=1))
    steps.append((tokens, log_probs, best[:, -1] - best[:, -2]))
    if step + 1 < num_steps:
      texts[rows, ends + step] = tokens
  fields = zip(*steps, strict=True)
  return Expected(*(np.stack(field, axis=1) for field in fields))


def cut(tokens, is_end):
  """(length, stopped) of a row's tokens, ended where `is_end` of its head."""
  for length in range(1, len(tokens) + 1):
    if is_end(tokens[:length].tolist()):
      return length, True
  return len(tokens), False


class Comparison(parameterized.TestCase):
  def assert_follows(self, responses, expected, rows=None, is_end=None):
    """Rows are those of the oracle, up to a place where two logits tie."""
    rows = range(len(expected.tokens)) if rows is None else rows
    self.assertLen(responses.tokens, len(rows))
    for position, row in enumerate(rows):
      length, stopped = cut(expected.tokens[row], is_end or (lambda _: False))
      tokens = np.where(
        np.arange(expected.tokens.shape[1]) < length,
        expected.tokens[row],
        decode_step.NO_TOKEN,
      )
      got = responses.tokens[position]
      differing = np.flatnonzero(got != tokens)
      if differing.size:
        first = differing[0]
        self.assertLess(first, length, f"row {row} goes on behind its end")
        self.assertLess(expected.gaps[row, first], TOLERANCE, f"row {row}")
        length = first
      else:
        self.assertEqual(responses.lengths[position], length)
        self.assertEqual(responses.stopped[position], stopped)
        np.testing.assert_array_equal(responses.log_probs[position, length:], 0)
      np.testing.assert_allclose(
        responses.log_probs[position, :length],
        expected.log_probs[row, :length],
        atol=TOLERANCE,
      )


def one_device():
  return meshes.make_mesh(jax.devices()[:1])


def spy(generator, name):
  """Watches the calls of one of the programs."""
  programs = generator.programs
  return mock.patch.object(programs, name, wraps=getattr(programs, name))


class OracleTest(Comparison):
  @parameterized.parameters(
    # A window shorter than the prefix, two segments, layers scanned.
    ("olmo3", 18, Layout.STACKED, 1, 11, 5),
    # Learned positions, prompts spread over the devices, one segment.
    ("gpt2", 18, Layout.APART, 8, 8, None),
    # Layers that turn queries and layers that do not, scanned.
    ("smollm3", 18, Layout.STACKED, 1, 8, None),
    # A mixture of experts.
    ("qwen3_moe", 18, Layout.STACKED, 1, 8, None),
    # Scaled embeddings, four norms, capped logits.
    ("gemma3", 18, Layout.APART, 1, 8, None),
  )
  # Eight rows of eight tokens are read in blocks of three rows, which overlap.
  @mock.patch.object(programs_lib, "CPU_BLOCK_TOKENS", 24)
  @pytest.mark.slow
  def test_a_shared_prefix_is_read_once(
    self, name, prefix, layout, num_devices, num_steps, segment
  ):
    config, params, apply = _model(name)
    prompts = make_prompts((3, 8, 1, 6, 2, 7, 5, 8), prefix=prefix)
    generator = Generator(
      config,
      Decoding(num_steps),
      mesh=meshes.make_mesh(jax.devices()[:num_devices]),
      batching=Batching(segment=segment),
      layout=layout,
    )
    with (
      spy(generator, "run_prefix") as runs,
      spy(generator, "prefill") as fill,
    ):
      responses = generator.generate(params, prompts)
    (((_, reading), _),) = runs.call_args_list
    self.assertEqual(list(reading.tokens[0]), prompts[0][:prefix])
    (call,) = fill.call_args_list
    self.assertEqual(
      call.args[1].reading.tokens.shape, (num_devices, 8 // num_devices, 8)
    )
    expected = expect(apply, params, prompts, num_steps)
    self.assert_follows(responses, expected)
    self.assertGreater(len(np.unique(expected.tokens)), 12)

  def test_one_new_token_needs_no_segment(self):
    config, params, apply = _model()
    prompts = make_prompts((3, 8, 1, 6))
    generator = Generator(config, Decoding(1), mesh=one_device())
    with spy(generator, "run_segment") as segments:
      responses = generator.generate(params, prompts)
    self.assert_follows(responses, expect(apply, params, prompts, 1))
    segments.assert_not_called()

  @parameterized.parameters(
    ([[1] * 20 + [2], [1] * 20 + [3, 4]], 20),
    ([[1] * 20, [1] * 20 + [3]], 19),  # Each keeps a token of its own.
    ([[1] * 20, [1] * 20], 19),
    ([[1] * 16 + [2], [1] * 16 + [3]], 16),
    ([[1] * 15 + [2], [1] * 15 + [3]], 0),  # Too short to be worth it.
    ([[1] * 20], 0),
    ([[1] * 20 + [2], [1] * 20 + [3], [5] + [1] * 20], 0),
  )
  def test_find_prefix(self, prompts, length):
    self.assertEqual(texts_lib.find_prefix(prompts), length)

  @parameterized.parameters(
    (5, None, 8),
    (18, None, 24),
    (18, 5, 20),
    (18, 1, 18),
    (17, 0, 17),
    (70, None, 80),
    (70, 4, 72),
  )
  def test_round_width(self, width, most_padding, rounded):
    self.assertEqual(texts_lib.round_width(width, most_padding), rounded)


class FinishingTest(Comparison):
  """One model whose rows stop at different times, and tokens that are not."""

  NUM_STEPS = 16  # One by the prefill, then three segments of five.
  NUM_TOKENS = 80
  LENGTHS = (3, 8, 1, 6, 2, 7, 5, 8)

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    config, cls.params, apply = _model()
    # A seed whose rows end as the tests below need it.
    cls.prompts = make_prompts(cls.LENGTHS, seed=3)
    cls.expected = expect(
      apply, cls.params, cls.prompts, cls.NUM_STEPS, cls.NUM_TOKENS
    )
    tokens = cls.expected.tokens
    cls.stop_tokens = (int(tokens[0, 0]), int(tokens[1, 3]), int(tokens[2, 9]))
    cls.config = config
    cls.generator = cls._make(5)

  @classmethod
  def _make(cls, segment, stop_strings=()):
    """A generator; what it compiles does not depend on these options."""
    generator = Generator(
      cls.config,
      Decoding(
        cls.NUM_STEPS,
        stop_tokens=cls.stop_tokens,
        stop_strings=stop_strings,
        num_tokens=cls.NUM_TOKENS,
      ),
      mesh=one_device(),
      batching=Batching(segment=segment),
      layout=Layout.APART,
      detokenize=_detokenize,
    )
    if hasattr(cls, "generator"):
      generator.programs = cls.generator.programs
    return generator

  def _is_end(self, tokens):
    return tokens[-1] in self.stop_tokens

  def test_the_case_has_early_and_late_ends(self):
    ends = [cut(tokens, self._is_end) for tokens in self.expected.tokens]
    lengths = [length for length, _ in ends]
    self.assertGreaterEqual(len(set(lengths)), 4, lengths)
    self.assertEqual({stopped for _, stopped in ends}, {False, True})
    self.assertLess(min(lengths), 2)
    # Among all rows of the embedding, others would have been chosen.
    free = expect(_model()[2], self.params, self.prompts, 4)
    self.assertGreaterEqual(free.tokens.max(), self.NUM_TOKENS)

  @parameterized.parameters(5, 15)
  def test_rows_end_by_themselves_or_run_out(self, segment):
    generator = self._make(segment)
    responses = generator.generate(self.params, self.prompts)
    self.assert_follows(responses, self.expected, is_end=self._is_end)

  def test_weights_are_laid_out_once_for_many_calls(self):
    arranged = self.generator.arrange(self.params)
    self.assertIs(self.generator.arrange(arranged), arranged)
    with mock.patch.object(generator_lib, "take_layer") as take_layer:
      responses = self.generator.generate(arranged, self.prompts)
    take_layer.assert_not_called()
    self.assert_follows(responses, self.expected, is_end=self._is_end)

  def test_order_leaves_rows_alone(self):
    order = np.random.default_rng(0).permutation(len(self.prompts))
    responses = self.generator.generate(
      self.params, [self.prompts[row] for row in order]
    )
    self.assert_follows(responses, self.expected, order, self._is_end)

  @parameterized.parameters(([1], None), ([3, 1, 4, 6, 7, 5], 3))
  def test_company_leaves_rows_alone(self, rows, at_once):
    responses = self._make(15).generate(
      self.params,
      [self.prompts[row] for row in rows],
      batching=Batching(rows=at_once, segment=15),
    )
    self.assert_follows(responses, self.expected, rows, self._is_end)

  def test_finished_rows_leave_and_compilations_are_few(self):
    compiled = self.generator.programs.compiled
    self.generator.generate(self.params, self.prompts)
    num_compilations = compiled.num_compilations
    with (
      spy(self.generator, "run_segment") as segments,
      spy(self.generator, "regroup") as regroups,
    ):
      self.generator.generate(self.params, self.prompts)
    self.assertEqual(compiled.num_compilations, num_compilations)
    lengths = np.array(
      [cut(tokens, self._is_end)[0] for tokens in self.expected.tokens]
    )
    sizes = [int(np.ceil(fraction * 8)) for fraction in ROW_FRACTIONS]
    for call, begin in zip(segments.call_args_list, (1, 6, 11), strict=True):
      _, before, active = call.args
      needed = int(np.sum(lengths > begin))
      self.assertEqual(active.sum(), needed)
      fitting = min(size for size in sizes if size >= needed)
      self.assertEqual(active.shape, (1, fitting))
      keys = jax.tree.leaves(before.kv_cache)[0]
      # Slots for what was read and this segment, no more.
      self.assertEqual(keys.shape[-2], 8 + begin + 4)
    self.assertLess(fitting, 8)
    self.assertLessEqual(regroups.call_count, segments.call_count)

  def test_where_steps_take_long_rows_leave_as_soon_as_fewer_do(self):
    with mock.patch.object(programs_lib, "_CPU_SPARE_FLOPS", 1.0):
      generator = Generator(
        self.config,
        self.generator.decoding,
        mesh=one_device(),
        layout=Layout.APART,
      )
    prompts = [prompt[-7:] for prompt in self.prompts]  # Not of a round width.
    apply = _model()[2]
    expected = expect(apply, self.params, prompts, self.NUM_STEPS, 80)
    with (
      spy(generator, "prefill") as prefill,
      spy(generator, "run_segment") as segments,
    ):
      responses = generator.generate(self.params, prompts)
    self.assert_follows(responses, expected, is_end=self._is_end)
    self.assertEqual(prefill.call_args.args[1].reading.tokens.shape, (1, 8, 7))
    lengths = np.array(
      [cut(tokens, self._is_end)[0] for tokens in expected.tokens]
    )
    sizes = [int(np.ceil(fraction * 8)) for fraction in ROW_FRACTIONS]
    for step, call in enumerate(segments.call_args_list, 1):
      _, before, active = call.args
      self.assertEqual(active.sum(), np.sum(lengths > step))
      self.assertEqual(
        active.size, min(size for size in sizes if size >= active.sum())
      )
      # Room for all steps from the first on, as with a prompt of eight.
      keys = jax.tree.leaves(before.kv_cache)[0]
      self.assertEqual(keys.shape[-2], 8 + self.NUM_STEPS - 1)
    self.assertLen(segments.call_args_list, max(lengths) - 1)
    sizes = {call.args[2].size for call in segments.call_args_list}
    self.assertGreater(len(sizes), 1)

  def test_generation_ends_with_its_last_row(self):
    lengths = [cut(tokens, self._is_end) for tokens in self.expected.tokens]
    for most, num_segments in ((1, 0), (6, 1)):
      # Eight copies of a prompt, so that nothing new is compiled.
      row = next(
        row
        for row, (length, stopped) in enumerate(lengths)
        if stopped and most - 5 < length <= most
      )
      with spy(self.generator, "run_segment") as segments:
        responses = self.generator.generate(
          self.params, [self.prompts[row]] * 8
        )
      self.assertEqual(segments.call_count, num_segments)
      self.assert_follows(responses, self.expected, [row] * 8, self._is_end)

  def test_stop_strings_cut_at_the_token_that_completes_them(self):
    texts = [_detokenize(tokens.tolist()) for tokens in self.expected.tokens]
    lengths = [cut(tokens, self._is_end)[0] for tokens in self.expected.tokens]

    def find_row(length, begin=0):
      """A row that three letters, of two tokens, cut to `length` first."""
      letters = slice(2 * length - 3, 2 * length)
      return next(
        (row, text[letters])
        for row, text in enumerate(texts)
        if row >= begin
        and length < lengths[row]
        and text.find(text[letters]) == letters.start
      )

    # Ended by the first token of a segment with the last of the one before;
    # within a segment; and by a string whose row's stop token comes next.
    first, first_stop = find_row(7)
    second, second_stop = find_row(9, begin=first + 1)
    both = next(row for row, n in enumerate(lengths) if 3 < n < self.NUM_STEPS)
    last = lengths[both] - 1
    self.assertEqual((last - 2) // 5, (last - 1) // 5)  # The same segment.
    stops = [first_stop, second_stop, texts[both][2 * last - 3 : 2 * last]]

    def is_end(tokens):
      text = _detokenize(tokens)
      return self._is_end(tokens) or any(stop in text for stop in stops)

    ends = [cut(tokens, is_end)[0] for tokens in self.expected.tokens]
    self.assertEqual((ends[first], ends[second], ends[both]), (7, 9, last))
    for segment in (5, 15):
      generator = self._make(segment, tuple(stops))
      responses = generator.generate(self.params, self.prompts)
      self.assert_follows(responses, self.expected, is_end=is_end)


def _detokenize(tokens):
  """Two letters a token; no tokenizer knows `NO_TOKEN`."""
  assert min(tokens) >= 0
  return "".join(chr(97 + t // 10) + chr(110 + t % 10) for t in tokens)


class SampledTest(Comparison):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    config, cls.params, _ = _model()
    cls.prompts = make_prompts((3, 8, 1, 6, 2, 7, 5, 8))
    cls.keys = jax.random.split(jax.random.key(0), 8)
    cls.decoding = Decoding(
      9, Sampling(temperature=2.0, top_k=30, top_p=0.9), num_tokens=80
    )
    cls.generator = Generator(
      config,
      cls.decoding,
      mesh=one_device(),
      batching=Batching(segment=4),
      layout=Layout.APART,
    )
    cls.responses = cls.generator.generate(cls.params, cls.prompts, cls.keys)

  def assert_rows(self, responses, rows):
    # Draws are compared with logits that differ by rounding: 1e-7 of a chance
    # for each token to differ.
    np.testing.assert_array_equal(responses.tokens, self.responses.tokens[rows])
    np.testing.assert_allclose(
      responses.log_probs, self.responses.log_probs[rows], atol=TOLERANCE
    )

  def test_rows_follow_their_keys_in_any_order(self):
    order = np.random.default_rng(0).permutation(8)
    responses = self.generator.generate(
      self.params, [self.prompts[row] for row in order], self.keys[order]
    )
    self.assert_rows(responses, order)

  def test_company_and_segments_leave_rows_alone(self):
    generator = Generator(
      _model()[0],
      self.decoding,
      mesh=one_device(),
      batching=Batching(segment=8),
      layout=Layout.APART,
    )
    alone = generator.generate(self.params, self.prompts[3:4], self.keys[3:4])
    self.assert_rows(alone, [3])

  def test_keys_make_a_difference(self):
    keys = jax.random.split(jax.random.key(1), 8)
    prompts = [self.prompts[1]] * 8
    tokens = self.generator.generate(self.params, prompts, keys).tokens
    self.assertLen({tuple(row) for row in tokens.tolist()}, 8)
    again = self.generator.generate(self.params, self.prompts, keys).tokens
    self.assertGreater(np.mean(again != self.responses.tokens), 0.5)

  def test_temperatures_of_the_call_count_row_by_row(self):
    # Of programs made at temperature 2, at the temperature of another.
    cold = np.where(np.arange(8) % 2, 2.0, 1e-6)
    responses = self.generator.generate(
      self.params, self.prompts, self.keys, temperatures=cold
    )
    np.testing.assert_array_equal(
      responses.tokens[1::2], self.responses.tokens[1::2]
    )
    greedy = Generator(
      _model()[0],
      Decoding(9, num_tokens=80),
      mesh=one_device(),
      batching=Batching(segment=4),
      layout=Layout.APART,
    ).generate(self.params, self.prompts)
    np.testing.assert_array_equal(responses.tokens[::2], greedy.tokens[::2])

  @parameterized.parameters(0.0, -1.0, np.nan, np.inf, 1e-38, 1e-46, 1e39)
  def test_temperatures_are_refused(self, temperature):
    with self.assertRaisesRegex(
      UserError, "8 numbers within float32's 1.2e-38"
    ):
      self.generator.generate(
        self.params, self.prompts, self.keys, temperatures=[temperature] * 8
      )

  def test_log_probs_are_the_models_own(self):
    apply = _model()[2]
    texts = np.zeros((8, TEXT), np.int32)
    for row, prompt in enumerate(self.prompts):
      text = [*prompt, *self.responses.tokens[row]]
      texts[row, : len(text)] = text
    self.assertLess(self.responses.tokens.max(), 80)
    logits = np.asarray(apply(self.params, texts), np.float64)[..., :80]
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    for row, prompt in enumerate(self.prompts):
      steps = np.arange(len(prompt) - 1, len(prompt) + 8)
      expected = np.log(shares[row, steps, self.responses.tokens[row]])
      np.testing.assert_allclose(
        self.responses.log_probs[row], expected, atol=TOLERANCE
      )


class MembersTest(Comparison):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.config, cls.base, _ = _model()
    cls.names = transformer.tensor_names(cls.base)
    cls.members = [Member(seed, 0.03) for seed in range(8)]
    rebuild = jax.jit(
      functools.partial(perturb, names=cls.names),
      compiler_options=unoptimised.OPTIONS,
    )
    cls.params = [rebuild(cls.base, member) for member in cls.members]

  def _place(self, mesh):
    """All members' weights over both axes of a mesh."""
    return jax.device_put(
      layout_lib.stack_weights(self.params),
      layout_lib.member_shardings(transformer.shardings(self.config, mesh)),
    )

  @parameterized.parameters(
    (1, Layout.APART, 0, 6),
    # Two members in a group, halved weights, and a prefix.
    (2, Layout.STACKED, 17, 6),
  )
  @pytest.mark.slow
  def test_every_member_generates_as_it_would_alone(
    self, num_model, layout, prefix, num_steps
  ):
    mesh = meshes.make_mesh(model=num_model)
    prompts = make_prompts((3, 8, 1), prefix=prefix)
    generator = Generator(
      self.config,
      Decoding(num_steps),
      mesh=mesh,
      layout=layout,
    )
    responses = generator.generate_members(self._place(mesh), prompts)
    self.assertEqual(responses.tokens.shape, (8, 3, num_steps))
    for member, params in enumerate(self.params):
      alone = jax.tree.map(
        lambda field, member=member: field[member], responses
      )
      expected = expect(_model()[2], params, prompts, num_steps)
      self.assert_follows(alone, expected)
    self.assertLen({row.tobytes() for row in responses.tokens}, 8)

  def test_divided_weights_are_halves_with_the_same_bits(self):
    mesh = meshes.make_mesh(model=2)
    shardings = transformer.shardings(self.config, mesh)
    base = jax.device_put(self.base, shardings)
    rebuild = jax.jit(
      functools.partial(perturb, names=self.names),
      out_shardings=shardings,
    )
    divided = rebuild(base, self.members[3])
    num_whole = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(divided):
      sizes = {shard.data.size for shard in leaf.addressable_shards}
      is_norm = "norm" in jax.tree_util.keystr(path)
      num_whole += is_norm
      self.assertEqual(sizes, {leaf.size if is_norm else leaf.size // 2}, path)
      self.assertLen(leaf.addressable_shards, 8)
    self.assertEqual(num_whole, 5)
    jax.tree.map(np.testing.assert_array_equal, divided, self.params[3])
    apply = _model()[2]
    # Every token of a text is fed, whatever the model would have said.
    texts = np.random.default_rng(0).integers(0, VOCAB, (8, TEXT), np.int32)
    np.testing.assert_allclose(
      apply(divided, texts),
      apply(self.params[3], texts),
      rtol=1e-4,
      atol=1e-4,
    )


class RefusalTest(parameterized.TestCase):
  @parameterized.parameters(
    ([], 4, "at least one prompt, got none"),
    ([[1], []], 4, "at least one token, got none in prompt 1. Begin with"),
    ([[1] * 100, [2] * 125], 4, r"context of 128 tokens, got 125 \+ 4 in pro"),
    ([[1]], 128, r"got 1 \+ 128 in prompt 0. Shorten"),
    ([[1], [5, 96, 3]], 4, r"within \[0, 96\), got 3 to 96 in prompt 1. Is"),
    ([[-1, 4]], 4, "got -1 to 4 in prompt 0"),
  )
  def test_prompts_that_cannot_be_continued(self, prompts, steps, message):
    config, params, _ = _model()
    generator = Generator(config, Decoding(steps))
    for generate in (generator.generate, generator.generate_members):
      with self.assertRaisesRegex(UserError, message):
        generate(params, prompts)
    self.assertEqual(generator.programs.compiled.num_compilations, 0)

  def test_prompts_that_just_fit_are_not_refused(self):
    config = _model()[0]
    Decoding(4).check_prompts([[0], [95] * 124], config)

  def test_sampling_without_keys(self):
    config, params, _ = _model()
    generator = Generator(config, Decoding(4, Sampling(temperature=1.0)))
    for generate in (generator.generate, generator.generate_members):
      with self.assertRaisesRegex(
        UserError, r"needs an array \(.*1,?\) of .*, got None"
      ):
        generate(params, [[1]])
    self.assertEqual(generator.programs.compiled.num_compilations, 0)

  @parameterized.parameters(
    ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ({"stop_strings": ("a", "")}, r"not be empty texts, got \('a', ''\)"),
  )
  def test_decodings_out_of_range(self, values, message):
    with self.assertRaisesRegex(UserError, message):
      Decoding(**{"max_new_tokens": 4, **values})

  def test_a_bare_stop_string(self):
    # Past the type checker, which is off in production.
    values = types.SimpleNamespace(
      max_new_tokens=4, stop_tokens=(), stop_strings="stop"
    )
    with self.assertRaisesRegex(
      UserError, "stop_strings must be a sequence, got 'stop'"
    ):
      Decoding.__post_init__(values)

  def test_stop_strings_without_a_tokenizer(self):
    with self.assertRaisesRegex(UserError, "stop_strings need a tokenizer"):
      Generator(_model()[0], Decoding(4, stop_strings=("a",)))

  def test_a_decoding_is_described_for_a_header(self):
    described = Decoding(4, Sampling(0.5), (1,), ("a",)).describe()
    self.assertEqual(described["sampling"]["temperature"], 0.5)
    self.assertEqual(described["stop_tokens"], (1,))


class SizeTest(parameterized.TestCase):
  def test_scanned_programs_do_not_grow_with_depth(self):
    sizes = np.array([self._sizes(num_layers) for num_layers in (6, 36)])
    np.testing.assert_array_less(sizes[1], 1.1 * sizes[0])

  def _sizes(self, num_layers):
    """Lengths of the programs of a model with two kinds of layers, as text."""
    fields = cases.CASES["olmo3"] | {"num_hidden_layers": num_layers}
    config = families.parse_config(fields)
    spec = DecodeSpec(config, GREEDY, (), 97, Layout.STACKED)
    params = transformer.abstract_params(config, jnp.float32)
    shape = jax.ShapeDtypeStruct
    rows, scalar = shape((4,), jnp.int32), shape((), jnp.int32)
    prefix = jax.eval_shape(
      functools.partial(decode_step.run_prefix, spec),
      params,
      None,
      Reading(shape((1, 20), jnp.int32), shape((1,), jnp.int32)),
    )
    prefill = functools.partial(
      decode_step.prefill, spec, num_slots=20, block_rows=2
    )
    prompts = Prompts(
      Reading(shape((4, 8), jnp.int32), rows),
      RowSampling(shape((4, 2), jnp.uint32), shape((4,), jnp.float32)),
    )
    state = jax.eval_shape(prefill, params, prefix, None, prompts)
    step = functools.partial(decode_step.step, spec)
    apply = functools.partial(transformer.apply, config)
    lowered = (
      jax.jit(prefill).lower(params, prefix, None, prompts),
      jax.jit(step).lower(params, prefix, state, scalar, scalar),
      jax.jit(apply).lower(params, prompts.reading.tokens),
    )
    return [len(program.as_text()) for program in lowered]
