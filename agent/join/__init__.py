"""How a machine becomes a node: bootstrap tokens, userData, admission. Needs both edges."""
