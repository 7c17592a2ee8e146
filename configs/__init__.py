"""Config files: one `get_config` each, named for what they run."""
