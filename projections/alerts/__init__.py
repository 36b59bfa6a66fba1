"""The read model of alerts, and of what came too late for them."""
