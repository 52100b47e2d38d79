"""What each command does with its arguments and prints; the work itself is in the jobs."""
