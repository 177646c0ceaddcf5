"""Published claims about freezing: what was claimed (`register`), and what the tables say of it (`findings`)."""
