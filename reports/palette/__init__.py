"""Where one can go: the index of the command palette."""
