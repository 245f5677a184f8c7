"""What happened to the business, written beside its numbers."""
