"""Who may do what, for which tenant: keys, tokens, roles, throttles."""
