"""Taking out what identifies a person: the 18 identifiers of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)).

`find.py` finds them, `replace.py` writes something else in their place, `parallel.py` does it to many rows.
"""
