"""Generation: language models that answer prompts, and members of them."""
