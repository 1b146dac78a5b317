# Sourced by the scripts beside it: processes that belong to a folder, listed
# in its file `pids` as lines of name, process id and start time, with a log
# NAME.log each.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "${0##*/}: $*" >&2 && exit 1; }

start() { # name, program and arguments; needs $dir
	setsid "${@:2}" </dev/null >>"$dir/$1.log" 2>&1 &
	echo "$1 $! $(started $!)" >>"$dir/pids"
}

# When a process started, in the kernel's ticks; nothing once it has ended. With
# the id it names the process, since ids are used again.
started() { # process id
	awk '{ sub(/.*\) /, "") } $1 != "Z" { print $20 }' "/proc/$1/stat" 2>/dev/null || true
}

runs() { [[ -n $2 && $(started "$1") == "$2" ]]; } # process id, start time

all_run() {
	local name pid since
	while read -r name pid since; do runs "$pid" "$since" || return 1; done <"$dir/pids"
}

# Repeats a command until it succeeds, while all that was started runs.
await() { # seconds, command
	local end=$((SECONDS + $1))
	until "${@:2}" >/dev/null 2>&1; do
		all_run || return 1
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

# Ends what was started, the last first.
stop_all() {
	local name pid since end
	[[ -e $dir/pids ]] || return 0
	while read -r name pid since; do
		end=$((SECONDS + 10))
		while runs "$pid" "$since"; do
			if ((SECONDS < end)); then kill "$pid"; else kill -KILL "$pid"; fi 2>/dev/null || true
			sleep 0.1
		done
	done < <(tac "$dir/pids")
	rm "$dir/pids"
}
