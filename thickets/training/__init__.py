"""Training: language models on generated text, and the 1-D networks."""
