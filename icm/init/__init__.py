"""`icm init`: a file of the user's in, a task file for it out. Runs nothing and knows no model."""
