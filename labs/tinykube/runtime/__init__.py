"""Container runtimes behind one interface. Genuine counterparts: containerd and runc, Docker."""
