"""Pictures of coloured shapes, drawn by a procedure, and how they are judged."""
