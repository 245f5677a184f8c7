"""How the product is used and what that goes along with: features, platforms, automations, posts.

Everything that sets use beside money is association: who buys more may use more because they buy more.
"""
