# What a line of a table may use. $M is the folder of manifests, $F that of files made for this run.
k() { timeout -s INT 20 "$KUBECTL" "$@"; }

# for_seconds N ARGUMENT...: kubectl, interrupted after N seconds.
for_seconds() { timeout -s INT "$1" "$KUBECTL" "${@:2}"; }

# field KIND NAME PATH: one field of an object, such as {.metadata.uid}.
field() { k get "$1" "$2" -o "jsonpath=$3"; }

# filled FILE KEY=VALUE...: a file with each KEY replaced.
filled() {
  local text pair
  text=$(<"$1")
  for pair in "${@:2}"; do text=${text//"${pair%%=*}"/"${pair#*=}"}; done
  printf '%s\n' "$text"
}

# through_proxy PATH...: the paths, read through kubectl proxy.
through_proxy() {
  rm -f proxy.socket
  "$KUBECTL" proxy --unix-socket=proxy.socket >/dev/null &
  local proxy=$! path
  until [ -S proxy.socket ]; do sleep 0.02; done
  for path in "$@"; do curl -sS --unix-socket proxy.socket "http://localhost$path"; echo; done
  kill "$proxy"
}
