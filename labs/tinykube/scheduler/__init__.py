"""Decides where pods run: filter, score, bind. Seat of kube-scheduler."""
