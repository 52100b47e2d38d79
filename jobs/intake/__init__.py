"""What strangers wrote, made plain before anything judges it."""
