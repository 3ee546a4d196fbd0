"""Texts, models and tables in, numbers out; knows nothing of runs or pages."""
