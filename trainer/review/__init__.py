"""Clinicians' judgement: what is judged, by whom, what came of it, and what a model can learn from it."""
