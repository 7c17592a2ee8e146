"""Tests of forms of weights: the plain ones are read, others named."""

from absl.testing import parameterized

from thickets.errors import UserError
from thickets.models import weight_formats

MATRIX = "model.layers.0.mlp.up_proj"


class FieldsTest(parameterized.TestCase):
  @parameterized.parameters(
    {},
    {"quantization_config": None},
    {"transformers_weights": None},
    {"transformers_weights": "model.safetensors"},
  )
  def test_plain_weights_are_read(self, **fields):
    weight_formats.check_fields(fields)

  @parameterized.parameters(
    ({"quantization_config": {}}, "got a quantization_config in config.json"),
    ({"quantization_config": {"quant_method": "fp8"}}, "_config for fp8 in"),
    ({"quantization_config": "int8"}, "got a quantization_config"),
    (
      {"transformers_weights": "other.safetensors"},
      "transformers_weights must be model.safetensors.*got 'other",
    ),
  )
  def test_others_are_refused(self, fields, message):
    with self.assertRaisesRegex(UserError, message):
      weight_formats.check_fields(fields)


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    "lm_head.weight",
    f"{MATRIX}.weight",
    f"{MATRIX}.bias",
    "model.layers.0.self_attn.rotary_emb.inv_freq",
    "model.layers.0.mlp.experts.3.down_proj.weight",
    "model.layers.0.mlp.experts.gate_up_proj",
    "transformer.h.0.attn.masked_bias",
  )
  def test_plain_tensors_are_read(self, name):
    weight_formats.check_names([name], "here")

  @parameterized.parameters(
    (".qweight", "GPTQ or AWQ"),
    (".g_idx", "GPTQ or AWQ"),
    (".scales", "GPTQ or AWQ"),
    (".biases", "MLX"),
    (".weight.absmax", "bitsandbytes"),
    (".weight.nested_quant_map", "bitsandbytes"),
    (".weight.quant_state.bitsandbytes__nf4", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".weight_scale_inv", "8 bits"),
    (".weight_scale", "8 bits"),
    (".input_scale", "8 bits"),
    (".weight_packed", "compressed-tensors"),
    ("_blocks", "MXFP4"),
    (".weight:qdata", "torchao"),
    (".W_q", "quantised weights"),
    (".lora_A.weight", "adapter"),
    (".lora_B.default.weight", "adapter"),
    (".base_layer.weight", "adapter"),
  )
  def test_others_are_refused_by_tensor(self, end, form):
    with self.assertRaisesRegex(
      UserError, f"plain weights, got .*{form}.* in here: {MATRIX}{end}"
    ):
      weight_formats.check_names(["lm_head.weight", MATRIX + end], "here")


class FilesTest(parameterized.TestCase):
  @parameterized.parameters(
    (("model.safetensors",), "model.safetensors"),
    (
      ("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
      "model.safetensors.index.json",
    ),
    (
      ("model.safetensors", "model.safetensors.index.json"),
      "model.safetensors",
    ),
    (("consolidated.safetensors", "model.safetensors"), "model.safetensors"),
  )
  def test_the_file_of_all_weights_goes_before_the_index(self, listed, file):
    self.assertEqual(weight_formats.choose_file(listed, "here"), file)

  @parameterized.parameters(
    ("pytorch_model.bin", r"\(PyTorch\).*save the model with transformers"),
    ("pytorch_model-00001-of-00002.bin", "PyTorch"),
    ("consolidated.safetensors", "the format of the model's authors"),
    ("consolidated.00.pth", "the format of the model's authors"),
    ("adapter_model.safetensors", "adapter of PEFT.*merge_and_unload"),
    ("adapter_model.bin", "adapter of PEFT"),
    ("model-00001-of-00002.safetensors", "without model.*fetch the index"),
    ("model.fp16.safetensors", "a variant.*rename it"),
    ("llama-Q4_0.gguf", "pass the file itself"),
    ("tf_model.h5", "another program's weights"),
    ("weights.safetensors", "rename it to model.safetensors"),
    ("notes.txt", "got config.json, notes.txt. Fetch the weights"),
  )
  def test_others_are_refused_by_file_with_the_remedy(self, file, message):
    with self.assertRaisesRegex(UserError, f"{message}") as caught:
      weight_formats.choose_file(["config.json", file], "here")
    self.assertRegex(
      str(caught.exception), f"^here must have model.safetensors.*{file}"
    )

  def test_an_adapter_beside_a_model_is_refused(self):
    weight_formats.check_no_adapter(["model.safetensors"], "here")
    with self.assertRaisesRegex(UserError, "must be whole, got the adapter"):
      weight_formats.check_no_adapter(
        ["adapter_config.json", "model.safetensors"], "here"
      )
