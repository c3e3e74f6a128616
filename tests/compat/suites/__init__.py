"""One module per driver's suite; tests/compat/run.py names them all."""
