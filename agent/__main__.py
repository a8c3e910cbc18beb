"""``python -m agent`` is ``joinery``."""

from agent.cli import main

main()
