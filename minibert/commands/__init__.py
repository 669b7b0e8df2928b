"""What one types: a file for each `minibert ...` command, which reads its options and calls a job."""
