"""`python -m tinykube.kubectl`."""
import sys

from tinykube.kubectl.cli import main

if __name__ == "__main__":
    sys.exit(main())
