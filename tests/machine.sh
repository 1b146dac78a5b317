# What the machine looks like. Source it after lib.sh.

# machine: one line for each thing that a cluster with its data below WORK could leave behind: processes, mounts, links,
# addresses, routes, namespaces, firewall rules, control groups, settings, modules, files.
machine() (
  set +e +o pipefail
  for pid in $(ours_of "$WORK/") $(grep -ls /kubepods /proc/[0-9]*/cgroup | cut -d/ -f3); do
    # What has ended, and the kernel's own, have no command line; a file of /proc has no size to tell it by.
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")
    [ -z "$line" ] || echo "process $pid $line"
  done
  # A mount of a namespace is a mount, too.
  awk '{print "mount", $5}' /proc/self/mountinfo | sort
  ip -o link | awk -F': ' '{sub(/@.*/, "", $2); print "link", $2}' | sort
  ip -o address | awk '{print "address", $2, $4}' | sort
  for family in -4 -6; do ip $family route show table all | sed 's/ expires [^ ]*//; s/^/route /' | sort; done
  ip rule | sed 's/^/rule /'
  ls /run/netns 2>/dev/null | sed 's/^/netns /'
  nft --stateless list ruleset 2>/dev/null | sed 's/^/nft /'
  for save in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
    command -v "$save" >/dev/null && "$save" 2>/dev/null | sed "/^#/d; s/ *\[[0-9:]*\]//; s/^/$save /"
  done
  find /sys/fs/cgroup -type d -path '*kube*' | sort
  # Settings; counters and what belongs to single links apart.
  timeout 20 grep -rsT '' /proc/sys/net /proc/sys/vm /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops /proc/sys/kernel/keys \
    /proc/sys/fs/inotify 2>/dev/null | grep -vE '/(conf|neigh)/(veth|kt|decapod|dcp)|conntrack_(count|buckets)|_mem:|stat_refresh|random' | sort
  awk '{print "module", $1}' /proc/modules 2>/dev/null | sort
  find /etc/cni /opt/cni /var/lib/{cni,calico,containerd,decapod,etcd,kubelet} /run -not -path '/run/user/*' 2>/dev/null | sort
  find /var/lib -maxdepth 1 | sort
  true
)

# ours_of DIR: the processes of a cluster with its data in DIR: whoever has the folder in the command line, and all that
# descend from them.
ours_of() {
  local process
  for process in /proc/[0-9]*; do
    # Not whoever asks.
    if grep -qsaF "$1" "$process/cmdline" && [ "${process#/proc/}" != "$$" ]; then echo "${process#/proc/}"; fi
  done | python3 -c '
import subprocess, sys
ours = {int(line) for line in sys.stdin}
pairs = [tuple(map(int, line.split())) for line in subprocess.check_output(["ps", "-eo", "pid=,ppid="], text=True).splitlines()]
while new := {pid for pid, parent in pairs if parent in ours} - ours:
    ours |= new
print(*sorted(ours), sep="\n")'
}

# unchanged NAME: compares with $WORK/before, which `machine` wrote. Where something else runs meanwhile, what it changes
# can be left out by a pattern in DECAPOD_TEST_IGNORE.
unchanged() {
  machine >"$WORK/after"
  [ -z "${DECAPOD_TEST_IGNORE:-}" ] || sed -i -E "\\:$DECAPOD_TEST_IGNORE:d" "$WORK/before" "$WORK/after"
  diff -u "$WORK/before" "$WORK/after" >&2 || fail "$1 leaves something behind"
  PASSED=$((PASSED + 1))
}
