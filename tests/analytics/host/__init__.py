"""A host project in miniature: two models, some views, and a process that is killed while it sells."""
