"""What a project's files say of it, by their names and texts alone: nothing of a project is run to know it."""
