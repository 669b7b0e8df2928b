"""The exercises of the course, a file for each notebook; and those that are written from memory."""
