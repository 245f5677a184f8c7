"""Exploration and customers as pages: the question lies in the address, the answer is written by the server."""
