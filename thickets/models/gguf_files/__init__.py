"""Models in GGUF files: headers, configs, tokenizers and tensors."""
