"""The planner and the pages: what a person talks to."""
