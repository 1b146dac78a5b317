refs registry.k8s.io/e2e-test-images/busybox:1.37.0-1 registry.k8s.io/e2e-test-images/busybox:1.36.1-1
config -cmd sh
rootfs() {
	base
	# Debian's busybox as a shell runs its own applets before those on PATH, and drops variables with odd names.
	packages bash-static
	ln -sf bash-static "$root/bin/sh"
}
