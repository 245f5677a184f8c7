"""Goals: what was promised of a metric by when, how it stands against its own seasons, and how likely it is."""
