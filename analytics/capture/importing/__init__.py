"""Files become events: bytes -> rows -> drafts -> captured events, each step in its own module."""
