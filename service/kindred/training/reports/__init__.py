"""What `kindred evaluate` says about a model: against its baselines, stale, cold, and of similar users."""
