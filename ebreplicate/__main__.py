"""`python -m ebreplicate`: see `ebreplicate.cli`."""

import sys

from ebreplicate.cli import main

if __name__ == "__main__":
    sys.exit(main())
