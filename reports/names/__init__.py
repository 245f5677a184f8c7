"""What a tenant's own event names stand for, set on a page with a preview."""
