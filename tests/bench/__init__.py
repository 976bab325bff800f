"""The measurements: tiny beside genuine, in one run on one machine, medians. `make bench` writes book/numbers.md."""
