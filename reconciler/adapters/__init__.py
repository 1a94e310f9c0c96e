"""One outside thing a file. Each translates that thing's errors into those of core/errors.py."""
