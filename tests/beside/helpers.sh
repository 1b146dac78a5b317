# What a line of a table may use. $M is the folder of manifests, $F that of files made for this run.
k() { timeout -s INT 20 "$KUBECTL" "$@"; }

# first_lines N ARGUMENT...: the first lines of what kubectl prints, which need not end by itself.
first_lines() {
  local process line i
  exec 3< <(exec timeout -s INT 20 "$KUBECTL" "${@:2}" 2>&1)
  process=$!
  for ((i = 0; i < $1; i++)); do
    IFS= read -r line <&3 || break
    printf '%s\n' "$line"
  done
  kill "$process" 2>/dev/null || true
}

# field KIND NAME PATH: one field of an object, such as {.metadata.uid}.
field() { k get "$1" "$2" -o "jsonpath=$3"; }

# filled FILE KEY=VALUE...: a file with each KEY replaced.
filled() {
  local text pair
  text=$(<"$1")
  for pair in "${@:2}"; do text=${text//"${pair%%=*}"/"${pair#*=}"}; done
  printf '%s\n' "$text"
}

# through_proxy PATH...: the paths, asked for through kubectl proxy, with the options of curl in CURL.
through_proxy() {
  rm -f proxy.socket
  "$KUBECTL" proxy --unix-socket=proxy.socket >/dev/null &
  local proxy=$! path
  until [ -S proxy.socket ]; do sleep 0.02; done
  for path in "$@"; do curl -sS "${CURL[@]}" --unix-socket proxy.socket "http://localhost$path"; echo; done
  kill "$proxy"
}

# Tables of other tests bring helpers of their own.
[ -z "${BESIDE_HELPERS:-}" ] || . "$BESIDE_HELPERS"
