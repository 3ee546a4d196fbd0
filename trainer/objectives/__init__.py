"""What a run minimises; one file a loss."""
