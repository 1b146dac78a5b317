refs registry.k8s.io/e2e-test-images/perl:5.26
config -cmd perl -cmd -de0
rootfs() {
	base
	packages perl
}
