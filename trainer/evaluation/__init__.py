"""A run's model, measured: what is asked, by whom it is answered, and the report."""
