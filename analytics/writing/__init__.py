"""The parts of the writer: rows on the wire, SQL, identities, profiles, outcomes."""
