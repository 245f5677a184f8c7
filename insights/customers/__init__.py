"""What a customer is worth: how lately, how often and how much, and what is still to come."""
