"""`python -m impasto.hosts.terminal`: the `impasto` command where its script is not on the path."""

from impasto.hosts.terminal.app import main

if __name__ == "__main__":
    main()
