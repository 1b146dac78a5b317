refs registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0
config -cmd sh

rootfs() {
	base
	packages bash bind9-dnsutils libc-bin
	# Debian's busybox as a shell would run its own nslookup.
	ln -sf bash "$root/bin/sh"
}
