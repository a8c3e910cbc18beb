"""Whole worlds as plain Kubernetes objects: mostly feasible, with every kind of constraint that is switched on."""

from tests.worlds.making import EVERYTHING, PLAIN, SUPPORTED, World, make, seeded

__all__ = ["EVERYTHING", "PLAIN", "SUPPORTED", "World", "make", "seeded"]
