"""The API of what is recorded, by theme."""
