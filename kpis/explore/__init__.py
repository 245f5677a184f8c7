"""Exploration: questions that need the order of a person's events, asked of the lake.

A question is a frozen value, its answer another; in between there is exact arithmetic only. Which store and engine
holds the events does not matter: a question is an Ibis expression over `store.events`.
"""
