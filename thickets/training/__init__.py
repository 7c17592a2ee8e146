"""Training of language models on generated text, and of the 1-D networks."""
