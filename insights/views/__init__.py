"""Views of /api/v1/ for what is inferred."""
