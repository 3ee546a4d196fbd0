"""A search for the values of a run file: many short trainings, and what follows from them (lecture L3.10)."""
