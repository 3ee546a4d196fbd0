"""Records of files: told from their content, read as a stream, every fault with its place."""
