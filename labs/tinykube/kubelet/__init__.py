"""The node's agent: it makes what the pods bound to its node say come true, and reports how that goes."""
