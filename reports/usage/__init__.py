"""`/usage/`: how features, platforms, automations and posts are used, and what that goes along with."""
