"""Goals on screen: how each stands and why, its pace, and what people say of it."""
