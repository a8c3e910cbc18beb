"""The imperative shell: observe, decide, act, once per cycle."""
