"""Plans and status as people read them."""
