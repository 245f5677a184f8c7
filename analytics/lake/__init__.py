"""The lake: a tenant's events as sorted Parquet files, for questions that need their order.

One piece is a UTC day of a tenant, or some whole hours of a day that is too large for one. It has three files whose
rows lie in the same order: typed columns, ids, properties. A table in PostgreSQL, the manifest, says which pieces are
live; nobody ever lists a folder to find out. PostgreSQL holds the truth: every piece can be made again from it.
"""
