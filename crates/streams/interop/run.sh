#!/bin/sh
# Upstream's own Go against ours, both ways and through our proxy. Needs Go; everything is on loopback.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
servers=
trap 'for server in $servers; do kill "$server" 2>/dev/null || :; done; rm -rf "$work"' EXIT

go build -o "$work/interop" .
(cd ../../.. && cargo build -q -p decapod-streams --examples)
examples=${CARGO_TARGET_DIR:-../../../target}/debug/examples

# Starts a server whose first line is its address, which is left in $address.
start() {
    "$@" >"$work/address" &
    servers="$servers $!"
    until [ -s "$work/address" ]; do sleep 0.1; done
    address=$(cat "$work/address")
    rm "$work/address"
}

start "$work/interop" serve
upstream=$address
start "$examples/echo_server" "$upstream"
ours=$address

echo "== upstream's clients, our server"
"$work/interop" client "http://$ours"
echo "== our clients, upstream's server"
"$examples/client" "$upstream"
echo "== upstream's clients, our proxy, upstream's server"
"$work/interop" client "http://$ours/proxy" translated
echo "all ok"
