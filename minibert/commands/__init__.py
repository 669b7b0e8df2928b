"""What you type: a file for each `minibert ...` command, which reads its options and calls a job.

Read `run` first: what all of them share.
"""
