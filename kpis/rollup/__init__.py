"""Roll-ups: events and sessions of dirty minutes become buckets of states that add. See `kpis/README.md`."""
