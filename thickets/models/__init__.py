"""Model families: how they are defined, initialised and applied."""
