"""What is written on pull requests."""
