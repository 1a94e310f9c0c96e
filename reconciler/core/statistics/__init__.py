"""The tests behind the gates, in plain Python: no library, so that replays agree bit for bit."""
