"""Machines over SSH. Only commands of an administrator load it: the daemon's memory has no room for it."""
