"""A command line for people, made of a few requests each. Seat of kubectl."""
