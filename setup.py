"""Packaging of thickets: what it needs and why."""

import pathlib

import setuptools

_ROOT = pathlib.Path(__file__).parent
_TASKS = [
  "datasets>=4",  # Data sets of the hub, and parquet files through its pyarrow.
  "math-verify>=0.9",  # Whether two LaTeX answers are equal.
]

# Pictures and questions of others' making, for a task that runs on a laptop; 3 MB.
_EASY_VQA = ["easy-vqa>=1.0"]
_REPORT = ["plotly>=6"]  # The charts of reports to hover over; 64 MB.
_S3 = ["s3fs>=2025.7"]  # Runs below s3://; it speaks with S3 for fsspec.
_GCS = ["gcsfs>=2025.7"]  # The same for gs://.
_NOTEBOOKS = [
  "ipykernel>=6",
  "nbclient>=0.10",  # Runs notebooks without a browser, as CI does.
  "nbformat>=5.10",
]

setuptools.setup(
  name="thickets",
  version="0.1.0",
  description=(
    "Neural thickets in JAX: task experts around pretrained weights, how to"
    " find them, measure them and let them vote."
  ),
  long_description=(_ROOT / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  license_files=["LICENSE"],
  python_requires=">=3.11",
  packages=setuptools.find_packages(
    include=("thickets*", "experiments*", "configs*")
  ),
  package_data={
    "thickets": [
      "models/shipped/*/*",
      "models/diffusion/shipped/*/*",
      "models/diffusion/shipped/*/*/*",
      "report/html/templates/*",
    ]
  },
  install_requires=[
    "absl-py>=2.1",  # Flags and logging of the experiment binaries.
    "flax>=0.12",  # Defines and initialises the models (Linen).
    # GGUF files: the types of their tensors, in NumPy; 0.1 MB, so no extra.
    "gguf>=0.17",
    "huggingface_hub>=1.3",  # Models by their id on the hub.
    "jax>=0.10",  # Auto mesh axes, jax_num_cpu_devices, jax.shard_map.
    "jinja2>=3.1",  # Chat templates, which transformers renders with it.
    "jaxtyping>=0.3",  # Shapes in the signatures of public functions.
    "matplotlib>=3.9",  # Every experiment ends in figures.
    "ml-collections>=1.1",  # Config files; the first to override sections.
    "numpy>=2.0",
    "optax>=0.2.4",  # Pretraining.
    "orbax-checkpoint>=0.11",  # The base model of a run.
    "pillow>=11",  # Opens and resizes the pictures that models look at.
    "scikit-learn>=1.5",  # Clusters and principal components of members.
    "scipy>=1.13",  # Distributions, interpolation, the oracle of the normal.
    "safetensors>=0.6",  # The weights of language models.
    "tokenizers>=0.22",  # Makes tokenizers: the shipped model's, llama2.c's.
    "tensorboardX>=2.6",  # Metrics of pretraining, without TensorFlow.
    "threadpoolctl>=3.1",  # One thread for many small fits of scikit-learn.
    "tqdm>=4.66",  # Progress while weights are read.
    "transformers>=5",  # Tokenizers and chat templates.
  ],
  extras_require={
    "cuda12": ["jax[cuda12]>=0.10"],
    "cuda13": ["jax[cuda13]>=0.10"],
    "tpu": ["jax[tpu]>=0.10"],
    # Compilers alone, for machines that are not here (docs/accelerators.md): that
    # of TPUs, ...
    "compile-tpu": ["libtpu"],
    # ... and that of GPUs, without the libraries that run on one.
    "compile-cuda": [
      "jax-cuda12-plugin>=0.10",
      "nvidia-cuda-nvcc-cu12>=12.9",  # ptxas and libdevice.
    ],
    "easy-vqa": _EASY_VQA,
    "s3": _S3,
    "gcs": _GCS,
    "report": _REPORT,
    "tasks": _TASKS,
    "test": [
      *_NOTEBOOKS,
      *_REPORT,
      *_EASY_VQA,
      *_TASKS,
      *_S3,
      *_GCS,
      # Servers of S3 and Google Cloud Storage that tests start, on this machine.
      "moto[s3,server]>=5.1",
      "gcp-storage-emulator>=2024.8",
      # The static type checker; its wheel brings the Node.js that it runs on.
      "basedpyright>=1.30",
      "beartype>=0.20",  # Checks the jaxtyping annotations while testing.
      "chex>=0.1.89",  # Tree comparisons and trace counting.
      "hypothesis>=6.100",  # Hostile and random inputs.
      "import-linter>=2.3",  # Which room may import which: pyproject.toml.
      "playwright>=1.50",  # Drives the system's Chromium, which opens reports.
      "pytest>=8",
      "pytest-xdist>=3.6",  # Two workers halve the wait.
      "ruff>=0.9",  # Lint and formatting, in their checking form in CI.
    ],
    "docs": [
      "mkdocstrings-python>=2",  # The API reference, from docstrings.
      "ruff>=0.9",  # Breaks the long signatures in it into lines.
      # Builds the site; the successor of Material for MkDocs by its authors.
      "zensical>=0.0.73",
    ],
    "dev": [
      "nbstripout>=0.8",  # Notebooks are committed without outputs.
      "pre-commit>=4",  # Runs .pre-commit-config.yaml before each commit.
      "pre-commit-hooks>=5",  # White space at the ends of lines and files.
    ],
    "torch": [
      "torch>=2.6",  # transformers' models, to compare ours with.
      "diffusers>=0.36",  # Its UNets, decoders and schedules; it needs torch.
      "peft>=0.17",  # The same for adapters; it needs torch.
      "evosax>=0.2",  # Evolution strategies of others, to compare ours with.
    ],
    "notebooks": ["jupyterlab>=4"],
  },
)
