"""What builds, flashes, simulates and measures boards; the SDK never imports this package."""
