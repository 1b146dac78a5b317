refs registry.k8s.io/e2e-test-images/regression-issue-74839:1.4
config -entrypoint /regression-issue-74839
rootfs() {
	base
	upstream regression-issue-74839 /regression-issue-74839
}
