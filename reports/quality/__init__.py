"""Whether the numbers can be trusted just now, and what to do where they cannot."""
