"""The same question in other words: by tables of terms, with what a rewriting must not lose.

Training rows are multiplied with it (lecture L3.9), and models are tried with it (lecture L3.5).
"""
