"""A whole cluster under a simulated clock: days that take seconds, failures from a seed, the same history each time."""
