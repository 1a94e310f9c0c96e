"""The asynchronous shell: runs the pure core against the ports. It never imports an adapter."""
