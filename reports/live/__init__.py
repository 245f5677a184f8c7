"""The live socket: numbers that move on screen within seconds of an event, and never jump in silence.

buckets_refreshed ─ doorbell.py ─ Redis pub/sub ─┐
every few seconds: has the data version moved? ──┴─ feed.py: one answer per tenant, role and question
                                                      └─ stream.py: what each socket was told, and what is new
                                                           └─ consumer.py: the socket itself (Channels)
"""
