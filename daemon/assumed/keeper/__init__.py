"""The running daemon: wires the edges to the core and owns the life cycle."""
