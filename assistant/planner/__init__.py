"""From a conversation to a run file."""
