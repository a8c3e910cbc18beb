"""The only writer: carries out a plan, one registered effect at a time."""

from agent.daemon.act.executor import Actor, object_of
from agent.daemon.act.registry import EFFECTS, Fenced, Hands

__all__ = ["EFFECTS", "Actor", "Fenced", "Hands", "object_of"]
