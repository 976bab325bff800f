"""How Services reach pods. Seat of kube-proxy."""
