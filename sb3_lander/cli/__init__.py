"""The command line, ``python -m sb3_lander``: one module a command."""
