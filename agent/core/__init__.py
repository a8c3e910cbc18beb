"""The decision: pure functions from a Snapshot to a Plan, split by the question they answer."""
