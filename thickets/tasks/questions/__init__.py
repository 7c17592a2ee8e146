"""Short questions in plain English that a small chat model can answer in part."""
