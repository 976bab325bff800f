"""The metrics server: asks every kubelet what its pods use, and serves the answers as an API of its own."""
