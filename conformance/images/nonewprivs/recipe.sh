refs registry.k8s.io/e2e-test-images/nonewprivs:1.4
config -cmd nnp
rootfs() {
	base
	upstream nonewprivs /usr/local/bin/nnp 6755
}
