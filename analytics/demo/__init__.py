"""A simulated marketplace with live events. Pure: no Django, no clock; the same seed gives the same events."""
