"""Questions about generated pictures of coloured shapes."""
