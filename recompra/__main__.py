"""``python -m recompra``."""

from recompra import main

if __name__ == "__main__":
    main()
