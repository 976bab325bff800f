"""The store at the wire: etcd's own protocol, version 3, as a server and as a client."""
import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
