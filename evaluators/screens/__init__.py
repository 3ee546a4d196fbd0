"""Screens of an answer's text by rules and tables: what may be wrong with it, for a person to look at.

A screen is no judgement. What it finds may be right after all, and what it does not find may be wrong; each file says
how often, on which texts. All of them read English only.
"""
