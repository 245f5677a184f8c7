"""Goals: what was promised of a metric by when, how it stands against its own seasons, how likely it is to come true."""
