#!/bin/sh
# Serves "web VERSION on HOSTNAME" on ADDRESS:PORT until TERM.
mkdir -p /tmp/www
echo "web $VERSION on ${HOSTNAME:-$(hostname)}" > /tmp/www/index.html
echo ok > /tmp/www/healthz
echo "web $VERSION serving on port ${PORT:-8080}"
httpd -f -p "${ADDRESS:-0.0.0.0}:${PORT:-8080}" -h /tmp/www &
trap 'kill $!; exit 0' TERM INT   # the first process of a container has no default handlers: without this, TERM is lost
wait $!
