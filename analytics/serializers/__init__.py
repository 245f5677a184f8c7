"""The JSON of what is recorded, by theme. Times are ISO 8601 with offset."""
