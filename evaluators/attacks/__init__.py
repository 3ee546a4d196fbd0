"""Ways of disturbing a question: of its text, some of which must not change the answer and some that must, and of its
embeddings, by the gradient (lecture L3.5-L3.7)."""
