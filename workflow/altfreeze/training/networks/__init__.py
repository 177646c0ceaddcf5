"""Networks other than the hand-written MLP: those built in, the user's own, and how their seeds are stacked."""
