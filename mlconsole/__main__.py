"""`python -m mlconsole`."""

from mlconsole.cli import main

if __name__ == "__main__":
    main()
