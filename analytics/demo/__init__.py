"""A simulated marketplace with live events. All but `filling.py` is pure: the same seed gives the same events."""
