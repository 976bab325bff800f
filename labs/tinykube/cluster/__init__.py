"""Starts all of it: in one event loop, or one process a seat. Seat of kind and kubeadm."""

from tinykube.cluster.background import Background as Background
from tinykube.cluster.background import background as background
from tinykube.cluster.cluster import Cluster as Cluster
