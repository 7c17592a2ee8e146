"""Members that draw: pictures of members and of ensembles, and their scores."""
