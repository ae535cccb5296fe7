"""Mutations: the code is broken in one place after the other, and a test must notice. `make mutants PIECE=decide`."""
