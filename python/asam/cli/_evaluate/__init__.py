"""Experiments of ``asam evaluate``: a file a subcommand, each with ``Args`` and ``run``."""
