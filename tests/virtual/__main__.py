"""`python -m tests.virtual [long] SEED…`: live these random histories, tell what was done and what did not hold."""

import sys

from tests.virtual.chaos import live, live_long


def main(arguments: list[str]) -> int:
    """1 when an invariant was violated."""
    bad = 0
    lives = live_long if arguments[:1] == ["long"] else live
    arguments = arguments[lives is live_long :]
    for text in arguments:
        first, _, last = text.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            lived = lives(seed)
            if len(arguments) == 1 and not last:
                print("\n".join(lived.told))
            for violation in lived.violations:
                print(f"seed {seed}: {violation}")
            print(f"seed {seed}: {lived.hours:.2f} h, digest {lived.digest:08x}, {len(lived.violations)} violations")
            bad |= bool(lived.violations)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
