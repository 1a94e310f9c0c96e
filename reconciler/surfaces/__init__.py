"""What people and programs touch: the daemon's HTTP endpoints and the command line."""
