"""Boards that people put together themselves: cards on a grid, shared by link, kept as YAML beside the code."""
