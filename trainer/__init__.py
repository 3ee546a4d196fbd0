"""Everything between a run file and a tuned model; knows nothing of chat or pages."""
