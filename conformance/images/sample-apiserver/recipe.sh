refs registry.k8s.io/e2e-test-images/sample-apiserver:1.29.2
config -entrypoint /sample-apiserver
rootfs() {
	base
	upstream sample-apiserver /sample-apiserver
}
