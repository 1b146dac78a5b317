#!/usr/bin/env bash
# Looks at what the tree of dependencies has: licences, banned crates, sources (deny.toml). The tool is built once, into
# the cache. Advisories want a database from the network: ask for them by name, `scripts/cargo-deny.sh advisories`.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
cache=${DECAPOD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/decapod}
tool=$cache/bin/cargo-deny-$version
if [[ ! -x $tool ]]; then
  work=$(mktemp -d "${TMPDIR:-/tmp}/cargo-deny.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_DEBUG=false \
    cargo install --quiet --debug --locked --root "$work" "cargo-deny@$version"
  mkdir -p "$cache/bin"
  strip -o "$tool.new" "$work/bin/cargo-deny"
  mv "$tool.new" "$tool"
fi
(($#)) || set -- bans licenses sources
exec "$tool" check --hide-inclusion-graph "$@"
