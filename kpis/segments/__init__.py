"""Segments: sets of people that were found by a question and are kept, as bitmaps, with the moment they held."""
