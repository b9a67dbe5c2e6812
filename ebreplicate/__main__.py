"""`python -m ebreplicate`: see `ebreplicate.cli`."""

import sys

from ebreplicate import warm

if __name__ == "__main__":
    code = warm.run(sys.argv[1:]) if warm.wanted(sys.argv[1:]) else None  # before torch is imported
    if code is None:
        from ebreplicate.cli import main

        code = main()
    sys.exit(code)
