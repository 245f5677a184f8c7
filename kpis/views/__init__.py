"""The API of what is counted, by theme."""
